"""The rules of Prometheus and the routes of Alertmanager, asked of their own tools."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from bentos import metrics
from deploy import mlflow_metrics
from deploy.monitoring.alerts import (
    DAGSTER_SOURCE,
    MLFLOW_SOURCE,
    SERVICE_SOURCE,
    Alert,
    make_alerts,
)
from deploy.monitoring.binaries import find_program
from deploy.monitoring.clock import Clock, duration
from deploy.monitoring.dashboards import expressions
from deploy.monitoring.recording import BUCKETS, bucket_of, make_recordings
from deploy.monitoring.render import ReceiversError, Targets, render_monitoring
from mlops_assets.config import PROJECT_ROOT, Settings
from tests.alert_cases import CASES, Case
from tests.monitored import CONSOLE_METRICS, names_in

SETTINGS, CLOCK = Settings(), Clock()
TARGETS = Targets(service="127.0.0.1:8000", console="127.0.0.1:8080",
                  prometheus="127.0.0.1:9090", alertmanager="127.0.0.1:9093",
                  mlflow="127.0.0.1:5000")
# What Prometheus makes of each scrape, and what a node_exporter gives where there is one.
OTHERS = {
    "up", "scrape_duration_seconds", "node_cpu_seconds_total", "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"),
            "summary": ("_sum", "_count")}
EXAMPLE = re.compile(r"^```yaml\n(receivers:.*?)^```$", re.MULTILINE | re.DOTALL)
OWN = re.compile(r"(prometheus|alertmanager|process|go)_\w+")


def alerts() -> list[Alert]:
    return [each for group in make_alerts(SETTINGS, CLOCK).values() for each in group]


def recorded() -> dict[str, str]:
    rules = make_recordings(SETTINGS, CLOCK)
    return {each.name: each.expr for group in rules.values() for each in group}


def ask(tool: str, *arguments: object) -> str:
    """What a tool says.

    Raises:
        AssertionError: it finds something wrong.
    """
    program = find_program(tool)
    assert program, f"no {tool}; `make prometheus` fetches it"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files as ``mlops up`` writes them."""
    path = tmp_path_factory.mktemp("monitoring")
    (path / "token").write_text("secret")
    for name, text in render_monitoring(
        SETTINGS, TARGETS, clock=CLOCK, token=path / "token"
    ).items():
        (path / name).write_text(text)
    return path


def test_prometheus_accepts_configuration_and_rules(folder: Path) -> None:
    said = ask("promtool", "check", "config", folder / "prometheus.yml")
    assert f"{len(recorded())} rules found" in said
    assert f"{len(alerts())} rules found" in said


def test_alertmanager_accepts_its_configuration(folder: Path) -> None:
    assert "SUCCESS" in ask("amtool", "check-config", folder / "alertmanager.yml")


@pytest.mark.parametrize("scale", [0.001, 0.1, 1.0])
def test_rules_are_accepted_at_every_speed(tmp_path: Path, scale: float) -> None:
    clock = Clock(scale=scale, scrape_seconds=1)
    files = render_monitoring(SETTINGS, TARGETS, clock=clock, token=tmp_path / "token")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ask("promtool", "check", "config", tmp_path / "prometheus.yml")


def _spoken(text: str, labels: dict[str, str], value: str) -> str:
    for name, content in labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", content)
    return re.sub(r"{{ \$value[^}]*}}", value, text)


def _expected(case: Case) -> Iterator[dict[str, Any]]:
    values = case.value if isinstance(case.value, tuple) else (case.value,) * len(case.fires)
    for labels, value in zip(case.fires, values, strict=True):
        alert = next(each for each in alerts()
                     if (each.name, each.severity) == (case.alert, labels["severity"]))
        yield {"exp_labels": labels, "exp_annotations": {
            "summary": _spoken(alert.summary, labels, value),
            "description": _spoken(alert.description, labels, value),
            "runbook_url": alert.runbook,
        }}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.what}")
def test_alert_fires_or_stays_silent(folder: Path, tmp_path: Path, case: Case) -> None:
    (tmp_path / "case.yml").write_text(yaml.safe_dump({
        "rule_files": [str(folder / "recording.yml"), str(folder / "alerts.yml")],
        "evaluation_interval": "1m",
        # Without an order promtool takes the groups as they fall, so that an alert sees either
        # this minute's record or the last one's.
        "group_eval_order": [*make_recordings(SETTINGS, CLOCK),
                             *(f"alerts-{name}" for name in make_alerts(SETTINGS, CLOCK))],
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": name, "values": values}
                             for name, values in case.series.items()],
            "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert,
                                 "exp_alerts": list(_expected(case))}],
        }],
    }))
    ask("promtool", "test", "rules", tmp_path / "case.yml")


FAST = {f'mlops_request_seconds_bucket{{route="/v1/predict",le="{bound}"}}':
        "0+6x20" if bound < 0.1 else "0+54x20" if bound < 0.25 else "0+60x20"
        for bound in (*BUCKETS, float("inf"))}


@pytest.mark.parametrize(("name", "series", "expected"), [
    ("mlops:requests:rate5m", {'mlops_requests_total{route="/a",status="200"}': "0+60x20",
                               'mlops_requests_total{route="/b",status="500"}': "0+60x20"}, 2),
    ("mlops:requests_5xx:share5m", {'mlops_requests_total{route="/a",status="200"}': "0+90x20",
                                    'mlops_requests_total{route="/a",status="503"}': "0+30x20"},
     0.25),
    ("mlops:requests_4xx:share5m", {'mlops_requests_total{route="/a",status="200"}': "0+90x20"}, 0),
    ("where:mlops_cache_hits:share5m", {'mlops_cache_total{where="a",outcome="hit"}': "0+30x20",
                                        'mlops_cache_total{where="a",outcome="miss"}': "0+10x20"},
     0.75),
    ("slot_version:mlops_prediction_confidence:mean1h", {
        'mlops_prediction_confidence_sum{slot="champion",version="v"}': "0+9x20",
        'mlops_prediction_confidence_count{slot="champion",version="v"}': "0+10x20"}, 0.9),
    ("slot_version_label:mlops_predictions:share1h", {
        'mlops_predictions_total{slot="champion",version="v",label="bag"}': "0+10x20"}, 1),
    ("mlops:journal_lag:seconds", {
        'mlops_asset_materialized_seconds{asset="prediction_log"}': "600x20",
        "mlops_journal_newest_seconds": "660x20"}, 600),
    ("mlops:journal_lag:seconds", {
        'mlops_asset_materialized_seconds{asset="prediction_log"}': "600x20",
        "mlops_journal_newest_seconds": "540x20"}, 0),
    ("mlops:drift_evidence:share_of_alarm", {"mlops_drift_evidence": "50x20",
                                             "mlops_drift_alarm_at": "100x20"}, 0.5),
    ("mlops:drift_evidence:present", {"mlops_drift_evidence": "50x20"}, 50),
    ("mlops:label_accuracy:certain_drop", {"mlops_held_out_accuracy": "0.75x20",
                                           "mlops_label_accuracy_upper": "0.5x20"}, 0.25),
    ("path:mlops_disk_free:share", {'mlops_disk_free_bytes{path="h"}': "25x20",
                                    'mlops_disk_size_bytes{path="h"}': "100x20"}, 0.25),
    ("gpu:mlops_gpu_utilization:mean5m", {'mlops_gpu_utilization_ratio{gpu="0"}': "0.5x20"}, 0.5),
    ("device:node_network_receive_bytes:rate5m", {
        'node_network_receive_bytes_total{device="eth0"}': "0+6000x20"}, 100),
    ("step:mlops_rollout_step:present", {'mlops_rollout_step{step="shadow"}': "1x20"}, 1),
    ("route:mlops_request_seconds:p50", FAST, 0.075),
])
def test_a_recording_has_the_value_that_it_should(
    folder: Path, tmp_path: Path, name: str, series: dict[str, str], expected: float
) -> None:
    (tmp_path / "case.yml").write_text(yaml.safe_dump({
        "rule_files": [str(folder / "recording.yml")], "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "promql_expr_test": [{
                "expr": f"round(sum({name}), 0.001)", "eval_time": "20m",
                "exp_samples": [{"labels": "{}", "value": expected}]}],
        }],
    }))
    ask("promtool", "test", "rules", tmp_path / "case.yml")


def test_every_rule_has_a_case_that_fires_and_one_that_is_silent() -> None:
    fire = {(case.alert, labels["severity"]) for case in CASES for labels in case.fires}
    assert fire == {(each.name, each.severity) for each in alerts()}
    silent = {case.alert for case in CASES if not case.fires}
    assert silent == {each.name for each in alerts()}


def test_every_alert_says_what_it_is_and_where_help_stands() -> None:
    for each in alerts():
        assert each.summary
        assert each.description.endswith(".")
        assert (PROJECT_ROOT / each.runbook).is_file(), each.runbook


def _measured_by(module: ModuleType) -> set[str]:
    return {f"{family.name}{end}" for each in vars(module).values()
            if isinstance(each, MetricWrapperBase) for family in each.describe()
            for end in SUFFIXES.get(family.type, ("",))}


def test_expressions_use_only_metrics_that_exist() -> None:
    measured = _measured_by(metrics) | _measured_by(mlflow_metrics)
    assert {"mlops_requests_total", "mlops_mlflow_requests_total"} <= measured
    known = measured | set(CONSOLE_METRICS) | set(recorded()) | OTHERS
    asked = [*recorded().values(), *(each.expr for each in alerts()), *expressions()]
    unknown = {name for each in asked for name in names_in(each)} - known
    assert not {name for name in unknown if not OWN.fullmatch(name)}


def test_console_measures_what_the_rules_ask_for() -> None:
    server = PROJECT_ROOT / "ui" / "server"
    text = (server / "metrics.py").read_text() + (server / "gpus.py").read_text()
    written = set(re.findall(r'"(mlops_\w+)"', text))
    bounds = {"mlops_label_accuracy_lower", "mlops_label_accuracy_upper"}
    assert written | bounds == set(CONSOLE_METRICS)
    world = (server / "world.py").read_text()
    assert all(f'"{name}"' in world for name in (SERVICE_SOURCE, DAGSTER_SOURCE, MLFLOW_SOURCE))


def test_names_in_an_expression_are_found() -> None:
    expr = ('1 - sum by (a, b) (rate(x_total{le="y", z=~"w"}[5m])) / on (c) group_left () '
            "(m:n:o > 0 or 2e3 * time()) unless on () q == 0")
    assert names_in(expr) == {"x_total", "m:n:o", "q"}


def test_promise_is_kept_in_the_service_s_buckets() -> None:
    assert BUCKETS == metrics._SECONDS
    assert (bucket_of(250), bucket_of(251), bucket_of(60_000)) == (0.25, 0.5, 10.0)


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0s"), (0.1, "100ms"), (1.5, "1500ms"), (15, "15s"), (90, "90s"), (300, "5m"),
    (3600, "1h"), (259_200, "3d"),
])
def test_durations_are_written_as_prometheus_reads_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_windows_never_hold_too_few_samples() -> None:
    clock = Clock(scale=0.01, scrape_seconds=5)
    assert clock.window(300) == "20s"
    assert clock.wait(300) == "3s"


def _route(folder: Path, *labels: str) -> str:
    return ask("amtool", "config", "routes", "test",
               f"--config.file={folder / 'alertmanager.yml'}", *labels).strip()


def test_everything_goes_to_the_console_and_on_to_further_receivers(tmp_path: Path) -> None:
    own = tmp_path / "receivers.yaml"
    own.write_text(EXAMPLE.findall((PROJECT_ROOT / "docs" / "operations.md").read_text())[0])
    files = render_monitoring(SETTINGS, TARGETS, clock=CLOCK, token=tmp_path / "token",
                              receivers=own)
    (tmp_path / "alertmanager.yml").write_text(files["alertmanager.yml"])
    ask("amtool", "check-config", tmp_path / "alertmanager.yml")
    assert _route(tmp_path, "alertname=ServiceDown", "severity=critical") == "console,pager,mail"
    assert _route(tmp_path, "alertname=RunFailed", "severity=warning") == "console,mail"
    assert _route(tmp_path, "alertname=CheckFailed", "severity=info") == "console"


@pytest.mark.parametrize("text", ["", "receivers: []", "a: {", "- 1"])
def test_wrong_file_of_receivers_is_one_clear_line(tmp_path: Path, text: str) -> None:
    own = tmp_path / "receivers.yaml"
    own.write_text(text)
    with pytest.raises(ReceiversError, match=r"receivers\.yaml") as caught:
        render_monitoring(SETTINGS, TARGETS, clock=CLOCK, token=tmp_path, receivers=own)
    assert "\n" not in str(caught.value)
