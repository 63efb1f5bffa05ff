"""Something breaks, and the alert is told: real Prometheus, real Alertmanager, a real webhook."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from bentos import metrics
from deploy.monitoring.alerts import make_alerts
from deploy.monitoring.clock import Clock
from deploy.monitoring.dashboards import expressions
from deploy.monitoring.recording import make_recordings
from mlops_assets.config import Settings
from tests.alerting import Alarms, alarms, wait_for

pytestmark = pytest.mark.slow

# A look a second, and every time of the rules a hundredth.
CLOCK = Clock(scale=0.01, scrape_seconds=1)
SECONDS = 15
CALM = """\
mlops_drift_verdict{verdict="stable"} 1
mlops_drift_verdict{verdict="drifted"} 0
mlops_source_up{source="Service"} 1
mlops_dagster_last_run_failed{job="retrain"} 0
mlops_rollout_revision_wanted 1
mlops_held_out_accuracy 0.9
mlops_label_accuracy_upper 0.9
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alarms]:
    """Everything is well."""
    with alarms(tmp_path_factory.mktemp("alarms"), service=metrics.exposition().decode(),
                console=CALM, clock=CLOCK) as each:
        # What is never seen to be well can not be seen to break.
        wait_for(lambda: len(each.ask("query", query="up == 1")["data"]["result"]) == 4, SECONDS)
        yield each


def test_killed_service_is_told_and_so_is_its_return(running: Alarms) -> None:
    running.service.kill()
    wait_for(lambda: running.webhook.statuses("ServiceDown", severity="critical"), SECONDS)
    assert running.webhook.statuses("ServiceDown")[-1] == "firing"
    running.service.start()
    wait_for(lambda: running.webhook.statuses("ServiceDown")[-1] == "resolved", SECONDS)


def test_drift_is_told_and_so_is_its_end(running: Alarms) -> None:
    running.console_file.write_text(
        CALM.replace('"stable"} 1', '"stable"} 0').replace('"drifted"} 0', '"drifted"} 1'))
    wait_for(lambda: running.webhook.statuses("DriftDetected", severity="warning"), SECONDS)
    running.console_file.write_text(CALM)
    wait_for(lambda: running.webhook.statuses("DriftDetected")[-1] == "resolved", SECONDS)


def test_failed_run_is_told_by_the_name_of_its_job(running: Alarms) -> None:
    running.console_file.write_text(CALM.replace('"retrain"} 0', '"retrain"} 1'))
    wait_for(lambda: running.webhook.statuses("RunFailed", dagster_job="retrain"), SECONDS)
    told = next(each for each in running.webhook.told if each["labels"]["alertname"] == "RunFailed")
    assert told["annotations"]["summary"] == "The last run of retrain failed"
    assert told["annotations"]["runbook_url"] == "docs/runbooks/run-failed.md"
    running.console_file.write_text(CALM)
    wait_for(lambda: running.webhook.statuses("RunFailed")[-1] == "resolved", SECONDS)


def test_webhook_refuses_nobody_with_the_token(running: Alarms) -> None:
    assert running.webhook.told
    assert running.webhook.refused == 0


def test_outage_of_the_service_silences_what_follows_from_it(running: Alarms) -> None:
    labels = [
        {"alertname": "ServiceDown", "severity": "critical"},
        {"alertname": "HighErrorRate", "severity": "critical"},
        {"alertname": "ConsoleSourceDown", "severity": "warning", "source": "Service"},
        {"alertname": "ConsoleSourceDown", "severity": "warning", "source": "MLflow"},
    ]
    url = f"{running.alertmanager}/api/v2/alerts"
    posted = httpx.post(url, json=[{"labels": {**each, "drill": "yes"}} for each in labels])
    assert posted.status_code == 200, posted.text

    def inhibited() -> list[tuple[str, str]]:
        found = httpx.get(url, params={"filter": 'drill="yes"'}).json()
        return sorted((each["labels"]["alertname"], each["labels"].get("source", ""))
                      for each in found if each["status"]["inhibitedBy"])

    wait_for(lambda: len(inhibited()) == 2, SECONDS)
    assert inhibited() == [("ConsoleSourceDown", "Service"), ("HighErrorRate", "")]


def test_every_expression_is_accepted(running: Alarms) -> None:
    settings = Settings()
    recordings = make_recordings(settings, CLOCK).values()
    alerts = make_alerts(settings, CLOCK).values()
    asked = [*(each.expr for group in recordings for each in group),
             *(each.expr for group in alerts for each in group), *expressions()]
    for expr in asked:
        answer = running.ask("query", query=expr)
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        assert not answer.get("warnings"), f"{expr}: {answer}"


def test_every_rule_is_evaluated_without_a_fault(running: Alarms) -> None:
    def rules() -> list[dict[str, str]]:
        groups = running.ask("rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_for(lambda: all(rule["health"] != "unknown" for rule in rules()), SECONDS)
    assert {rule["health"] for rule in rules()} == {"ok"}, rules()
    alerts = {each.name for group in make_alerts(Settings(), CLOCK).values() for each in group}
    assert alerts <= {rule["name"] for rule in rules()}
