"""Grafana's dashboards as JSON: ``python -m deploy.monitoring.dashboards --out FOLDER``.

Import them, or have Grafana read the folder by a dashboard provider; each asks for its Prometheus.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

Unit = Literal["short", "s", "percentunit", "reqps", "bytes", "Bps", "dateTimeFromNow"]

SCHEMA_VERSION: Final = 39
COLUMNS: Final = 24
HEIGHT: Final = 8
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over time, or with ``now`` their present values; ``queries`` is legend to expr."""

    title: str
    queries: dict[str, str]
    unit: Unit = "short"
    now: bool = False
    columns: int = 8


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels from left to right, line by line."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


SERVICE: Final = Dashboard("mlops-service", "Service", (
    Panel("Up", {"{{job}}": "up"}, now=True, columns=6),
    Panel("Requests a second", {"all": "mlops:requests:rate5m"}, "reqps", now=True, columns=6),
    Panel("Failing", {"5xx": "mlops:requests_5xx:share5m"}, "percentunit", now=True, columns=6),
    Panel("Slow predictions, 1 h", {"share": "mlops:slow_predictions:share1h"}, "percentunit",
          now=True, columns=6),
    Panel("Throughput by route", {"{{route}}": "route:mlops_requests:rate5m"}, "reqps"),
    Panel("Latency of predictions", {
        name: f'route:mlops_request_seconds:{name}{{route="/v1/predict"}}'
        for name in ("p50", "p95", "p99")
    }, "s"),
    Panel("Refused and failing", {
        "4xx {{route}}": "route:mlops_requests_4xx:share5m",
        "5xx {{route}}": "route:mlops_requests_5xx:share5m",
    }, "percentunit"),
    Panel("Slow predictions by window", {
        name: f"mlops:slow_predictions:share{name}" for name in ("5m", "1h", "6h", "3d")
    }, "percentunit"),
    Panel("Cache hits", {"{{where}}": "where:mlops_cache_hits:share5m"}, "percentunit"),
    Panel("Images in a batch", {"{{version}}": "version:mlops_batch_images:mean5m"}),
    Panel("Waiting images", {"{{version}}": "mlops_waiting_images"}),
    Panel("Shed requests", {"shed": "mlops:shed:rate5m"}, "reqps"),
    Panel("Journal", {"p99 of a write": "mlops:journal_seconds:p99"}, "s"),
    Panel("Journal faults", {"faults": "mlops_journal_faults_total"}),
))
MODEL: Final = Dashboard("mlops-model", "Model quality and drift", (
    Panel("Drift", {"{{verdict}}": "mlops_drift_verdict == 1"}, now=True, columns=6),
    Panel("Evidence, of the alarm", {"evidence": "mlops:drift_evidence:share_of_alarm"},
          "percentunit", now=True, columns=6),
    Panel("Accuracy by labels", {"accuracy": "mlops_label_accuracy"}, "percentunit", now=True,
          columns=6),
    Panel("Model that serves", {"{{slot}} {{version}}": "mlops_model_info > 0"}, "percentunit",
          now=True, columns=6),
    Panel("Accuracy", {
        "held out": "mlops_held_out_accuracy", "estimated": "mlops_estimated_accuracy",
        "by labels": "mlops_label_accuracy", "at least": "mlops_label_accuracy_lower",
        "at most": "mlops_label_accuracy_upper",
    }, "percentunit", columns=12),
    Panel("Drift evidence", {
        "evidence": "mlops_drift_evidence", "alarm": "mlops_drift_alarm_at",
    }, columns=12),
    Panel("Certain drop", {"by labels": "mlops:label_accuracy:certain_drop",
                           "estimated": "mlops:estimated_accuracy:drop"}, "percentunit"),
    Panel("Labels that agree", {"agree": "mlops:feedback_agrees:share1h"}, "percentunit"),
    Panel("Images unlike the reference", {
        "{{slot}} {{version}}": "slot_version:mlops_novel_images:share1h"}, "percentunit"),
    Panel("Brightness and contrast of images, 0 to 255", {
        f"{what} {{{{slot}}}} {{{{version}}}}": f"slot_version:mlops_image_{what}:mean1h"
        for what in ("brightness", "contrast")
    }, columns=24),
    Panel("Answered classes", {
        "{{slot}} {{version}} {{label}}": "slot_version_label:mlops_predictions:share1h",
    }, "percentunit", columns=12),
    Panel("Confidence", {
        "mean {{slot}} {{version}}": "slot_version:mlops_prediction_confidence:mean1h",
        "lowest tenth {{slot}} {{version}}": "slot_version:mlops_prediction_confidence:p10",
    }, "percentunit", columns=12),
))
LOOP: Final = Dashboard("mlops-loop", "The loop", (
    Panel("Queued runs", {"runs": "mlops_dagster_queued_runs"}, now=True, columns=6),
    Panel("Last run failed", {"{{dagster_job}}": "mlops_dagster_last_run_failed == 1"}, now=True,
          columns=6),
    Panel("Rollout", {"{{step}}": "step:mlops_rollout_step:present > 0"}, now=True, columns=6),
    Panel("Checks that do not hold", {"{{asset}} {{check}}": "mlops_asset_check_passed == 0"},
          now=True, columns=6),
    Panel("Runs of a day", {"{{dagster_job}} {{status}}": "mlops_dagster_runs"}),
    Panel("Since the last tick", {
        "{{sensor}}": "time() - mlops_dagster_sensor_last_tick_seconds and on (sensor) "
                      "mlops_dagster_sensor_running == 1"}, "s"),
    Panel("Sensors whose tick failed", {"{{sensor}}": "mlops_dagster_sensor_last_tick_failed"}),
    Panel("Fresh", {"{{asset}}": "mlops_asset_fresh"}),
    Panel("Age of assets", {"{{asset}}": "time() - mlops_asset_materialized_seconds"}, "s"),
    Panel("Journal not yet in the graph", {"lag": "mlops:journal_lag:seconds"}, "s"),
    Panel("Rollout's revision", {"wanted": "mlops_rollout_revision_wanted",
                                 "serves": "mlops_rollout_revision"}),
    Panel("Requests to MLflow", {"all": "mlops:mlflow_requests:rate5m"}, "reqps"),
    Panel("MLflow's answers", {"p95": "mlops:mlflow_request_seconds:p95"}, "s"),
    Panel("MLflow fails", {"5xx": "mlops:mlflow_requests_5xx:share5m"}, "percentunit"),
    Panel("Traffic by model", {
        "{{slot}} {{version}}": "slot_version:mlops_predictions:rate5m"}, "reqps"),
))
MACHINE: Final = Dashboard("mlops-machine", "Machine", (
    Panel("Free disk", {"{{path}}": "path:mlops_disk_free:share"}, "percentunit", now=True,
          columns=6),
    Panel("GPUs", {"now": "mlops_gpu_count", "at most": "mlops_gpu_count_max"}, now=True,
          columns=6),
    Panel("Sources of the console", {"{{source}}": "mlops_source_up"}, now=True, columns=6),
    Panel("Samples", {"series": "prometheus_tsdb_head_series"}, now=True, columns=6),
    Panel("Free disk", {"{{path}}": "mlops_disk_free_bytes"}, "bytes"),
    Panel("GPU", {"{{gpu}}": "gpu:mlops_gpu_utilization:mean5m"}, "percentunit"),
    Panel("GPU memory", {"{{gpu}}": "mlops_gpu_memory_used_bytes"}, "bytes"),
    Panel("Memory of programs", {"{{job}}": "process_resident_memory_bytes"}, "bytes"),
    Panel("Processor", {"busy": "mlops:node_cpu_busy:share5m"}, "percentunit"),
    Panel("Network", {
        "in {{device}}": "device:node_network_receive_bytes:rate5m",
        "out {{device}}": "device:node_network_transmit_bytes:rate5m",
    }, "Bps"),
    Panel("Alerts told", {"{{integration}}": "alertmanager_notifications_total"}),
    Panel("Alerts not told", {"{{integration}}": "alertmanager_notifications_failed_total"}),
))
DASHBOARDS: Final = (SERVICE, MODEL, LOOP, MACHINE)


def expressions() -> Iterator[str]:
    """Every expression of every dashboard."""
    return chain.from_iterable(
        panel.queries.values() for dashboard in DASHBOARDS for panel in dashboard.panels)


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": panel.title,
        "type": "stat" if panel.now else "timeseries",
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT // 2 if panel.now else HEIGHT, "w": panel.columns, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "options": {"textMode": "value_and_name"} if panel.now else {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expr,
             "legendFormat": legend, "instant": panel.now}
            for index, (legend, expr) in enumerate(panel.queries.items())
        ],
    }


def render_dashboard(dashboard: Dashboard) -> dict[str, Any]:
    """One dashboard as Grafana reads it."""
    panels, x, y, line = [], 0, 0, 0
    for number, panel in enumerate(dashboard.panels, start=1):
        if x + panel.columns > COLUMNS:
            x, y, line = 0, y + line, 0
        made = _panel(number, panel, x, y)
        panels.append(made)
        x, line = x + panel.columns, max(line, made["gridPos"]["h"])
    return {
        "uid": dashboard.uid, "title": f"mlops-assets: {dashboard.title}", "tags": ["mlops-assets"],
        "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": False, "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"}, "timezone": "",
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"},
        ]},
        "panels": panels,
    }


def write_dashboards(folder: Path) -> list[Path]:
    """Write one file a dashboard; gives the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for dashboard in DASHBOARDS:
        path = folder / f"{dashboard.uid}.json"
        path.write_text(json.dumps(render_dashboard(dashboard), indent=1) + "\n")
        paths.append(path)
    return paths


def main() -> None:
    """Write the dashboards and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    for path in write_dashboards(parser.parse_args().out):
        print(path)  # noqa: T201


if __name__ == "__main__":
    main()
