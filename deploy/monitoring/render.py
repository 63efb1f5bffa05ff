"""The files that configure Prometheus and Alertmanager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.monitoring.alerts import (
    DAGSTER_SOURCE,
    MLFLOW_SOURCE,
    SERVICE_SOURCE,
    make_alerts,
)
from deploy.monitoring.clock import DAY, MINUTE, Clock, duration
from deploy.monitoring.recording import make_recordings
from mlops_assets.config import Settings
from mlops_assets.contracts.errors import PlatformError

CONSOLE: Final = "console"
WEBHOOK: Final = "/api/v1/alerts/webhook"
RECORDING_FILE: Final = "recording.yml"
ALERTS_FILE: Final = "alerts.yml"
# What the service can not be expected to do while it is down, or Dagster not to tell.
OF_THE_SERVICE: Final = ("HighErrorRate", "LatencyBudgetBurn", "JournalFaults", "RolloutNotTaken")
OF_DAGSTER: Final = ("StaleData", "RunFailed", "SensorNotTicking", "CheckFailed")


class ReceiversError(PlatformError):
    """The file of further receivers can not be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Who is scraped, each as ``host:port``; an empty one is not there."""

    service: str
    console: str
    prometheus: str
    alertmanager: str
    mlflow: str = ""
    node: str = ""


def _dump(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True)


def render_prometheus(targets: Targets, clock: Clock) -> str:
    """``prometheus.yml``; the rules lie beside it."""
    every = duration(clock.scrape_seconds)
    jobs: list[dict[str, Any]] = [
        {"job_name": name, "static_configs": [{"targets": [address]}]}
        for name, address in asdict(targets).items() if address
    ]
    # A Dagster job is no job of Prometheus.
    next(job for job in jobs if job["job_name"] == CONSOLE)["metric_relabel_configs"] = [
        {"source_labels": ["exported_job"], "regex": "(.+)", "target_label": "dagster_job"},
        {"regex": "exported_job", "action": "labeldrop"},
    ]
    return _dump({
        "global": {
            "scrape_interval": every, "evaluation_interval": every,
            "scrape_timeout": duration(min(10.0, clock.scrape_seconds)),
        },
        "rule_files": [RECORDING_FILE, ALERTS_FILE],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [targets.alertmanager]}]}]},
        "scrape_configs": jobs,
    })


def render_recordings(settings: Settings, clock: Clock) -> str:
    """The file of the recording rules."""
    return _dump({"groups": [
        {"name": name, "rules": [{"record": each.name, "expr": each.expr} for each in rules]}
        for name, rules in make_recordings(settings, clock).items()
    ]})


def render_alerts(settings: Settings, clock: Clock) -> str:
    """The file of the alert rules."""
    return _dump({"groups": [
        {"name": f"alerts-{name}", "rules": [{
            "alert": each.name,
            "expr": each.expr,
            "for": clock.wait(each.wait),
            "labels": {"severity": each.severity},
            "annotations": {
                "summary": each.summary, "description": each.description,
                "runbook_url": each.runbook,
            },
        } for each in alerts]}
        for name, alerts in make_alerts(settings, clock).items()
    ]})


def read_receivers(path: Path | None) -> tuple[list[Any], list[Any]]:
    """Receivers and routes of the user's own file; none without one.

    Raises:
        ReceiversError: it can not be read, or holds something else.
    """
    if path is None:
        return [], []
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ReceiversError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping) or set(content) != {"receivers", "routes"}:
        raise ReceiversError(f"{path} must hold `receivers` and `routes`, as Alertmanager's own")
    return list(content["receivers"]), list(content["routes"])


def _silences(source: Sequence[str], targets: Sequence[str], *equal: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"source_matchers": list(source), "target_matchers": list(targets)}
    return rule | ({"equal": list(equal)} if equal else {})


def render_alertmanager(
    *, webhook: str, token: Path, clock: Clock, receivers: Path | None = None
) -> str:
    """``alertmanager.yml``: everything goes to the console, and on to whom ``receivers`` names.

    ``webhook`` is the console's address for alerts, ``token`` the file of what it knows
    Alertmanager by.

    Raises:
        ReceiversError: from ``read_receivers``.
    """
    further, routes = read_receivers(receivers)
    return _dump({
        "global": {"resolve_timeout": duration(5 * MINUTE)},
        "route": {
            "receiver": CONSOLE, "group_by": ["alertname"], "group_wait": clock.wait(10),
            "group_interval": clock.wait(MINUTE), "repeat_interval": duration(DAY / 6),
            "routes": [{"receiver": CONSOLE, "continue": True}, *routes],
        },
        "inhibit_rules": [
            _silences(['alertname="ServiceDown"'], [f'alertname=~"{"|".join(OF_THE_SERVICE)}"']),
            _silences(['alertname="ServiceDown"'],
                      ['alertname="ConsoleSourceDown"', f'source="{SERVICE_SOURCE}"']),
            _silences(['alertname="MlflowDown"'],
                      ['alertname="ConsoleSourceDown"', f'source="{MLFLOW_SOURCE}"']),
            _silences(['alertname="ConsoleSourceDown"', f'source="{DAGSTER_SOURCE}"'],
                      [f'alertname=~"{"|".join(OF_DAGSTER)}"']),
            _silences(['severity="critical"'], ['severity=~"warning|info"'], "alertname", "path"),
        ],
        "receivers": [{
            "name": CONSOLE,
            "webhook_configs": [{
                "url": webhook,
                "send_resolved": True,
                "http_config": {
                    "authorization": {"type": "Bearer", "credentials_file": str(token)},
                },
            }],
        }, *further],
    })


def render_monitoring(
    settings: Settings, targets: Targets, *, clock: Clock, token: Path,
    receivers: Path | None = None, webhook: str | None = None,
) -> dict[str, str]:
    """File name to content of everything that the two programs read.

    ``webhook`` is where alerts go, if not to the console among the ``targets``.
    """
    return {
        "prometheus.yml": render_prometheus(targets, clock),
        RECORDING_FILE: render_recordings(settings, clock),
        ALERTS_FILE: render_alerts(settings, clock),
        "alertmanager.yml": render_alertmanager(
            webhook=webhook or f"http://{targets.console}{WEBHOOK}",
            token=token, clock=clock, receivers=receivers),
    }
