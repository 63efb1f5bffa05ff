"""What waits for a person leads to what to do about it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ui.server.views.needs import _alerts
from ui.server.world import Alerting


@pytest.mark.parametrize(("url", "leads_to"), [
    ("docs/runbooks/service-down.md", "/runbooks/service-down"),
    ("https://wiki.example/down", "https://wiki.example/down"),
    ("docs/runbooks/unwritten.md", None),
    ("javascript:alert(1)", None),
    ("", None),
])
def test_an_alert_leads_to_its_runbook(url: str, leads_to: str | None) -> None:
    told = {"labels": {"alertname": "ServiceDown", "severity": "critical"},
            "annotations": {"summary": "The service is down", "runbook_url": url},
            "startsAt": "2026-11-27T04:00:00Z"}
    world = SimpleNamespace(alertmanager=SimpleNamespace(value=Alerting([told])))
    (need,) = _alerts(world, ())
    assert (need.title, need.level) == ("The service is down", "bad")
    assert (need.runbook.href if need.runbook else None) == leads_to
