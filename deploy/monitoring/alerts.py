"""Alert rules: what needs somebody, how soon, and where it is told what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from deploy.monitoring.clock import HOUR, MINUTE, Clock
from deploy.monitoring.recording import PREDICT, SLOW_WINDOWS, bucket_of
from mlops_assets.config import Settings

# critical: now, also at night. warning: today. info: when there is time.
Severity = Literal["critical", "warning", "info"]

RUNBOOKS: Final = "docs/runbooks"
# 99 % of predictions in time; burnt at 1, the 1 % lasts 30 days.
SLOW_BUDGET: Final = 0.01
MIN_REQUESTS: Final = 20
# No model was ever released, so there is nothing to serve yet.
UNRELEASED: Final = "mlops_rollout_revision_wanted == 0"
# As the console calls them.
SERVICE_SOURCE: Final = "Service"
DAGSTER_SOURCE: Final = "Dagster"
MLFLOW_SOURCE: Final = "MLflow"
ERROR_SHARE: Final = 0.05
# Not scaled by the clock: on a busy machine ticks are late, however short the intervals are.
LATE_SECONDS: Final = 60
LATE_TICKS: Final = 5
# (severity, long window, short window, how many times too fast), as in Google's SRE workbook.
BURNS: Final[tuple[tuple[Severity, str, str, float], ...]] = (
    ("critical", "1h", "5m", 14.4), ("critical", "6h", "30m", 6.0),
    ("warning", "1d", "2h", 3.0), ("warning", "3d", "6h", 1.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule; ``wait`` is how many seconds it must hold, at ``Clock.scale`` 1."""

    name: str
    severity: Severity
    expr: str
    wait: float
    summary: str
    description: str

    @property
    def runbook(self) -> str:
        """The page that tells what to do, relative to the repository."""
        return f"{RUNBOOKS}/{re.sub(r'(?<!^)(?=[A-Z])', '-', self.name).lower()}.md"


def _service(settings: Settings, clock: Clock) -> list[Alert]:
    short = clock.window(5 * MINUTE)
    return [
        Alert(
            name="ServiceDown", severity="critical", wait=MINUTE,
            expr=f'up{{job="service"}} == 0 unless on () {UNRELEASED}',
            summary="The service at {{ $labels.instance }} does not answer",
            description="Prometheus gets no metrics from it, so clients most probably get no "
                        "predictions either.",
        ),
        Alert(
            name="HighErrorRate", severity="critical", wait=2 * MINUTE,
            expr=f"mlops:requests_5xx:share5m > {ERROR_SHARE} and "
                 f"sum(increase(mlops_requests_total[{short}])) > {MIN_REQUESTS}",
            summary="{{ $value | humanizePercentage }} of the requests fail",
            description=f"More than {ERROR_SHARE:.0%} of the last five minutes' requests were "
                        "answered with a status from 500 on. What clients did wrong is not "
                        "counted.",
        ),
        Alert(
            name="JournalFaults", severity="critical", wait=0,
            expr=f"increase(mlops_journal_faults_total[{short}]) > 0",
            summary="The service can not write its journal",
            description="An answer may not leave without its record, so these requests were "
                        "answered with 503. The disk is full, slow, or may not be written.",
        ),
        Alert(
            name="RolloutNotTaken", severity="warning", wait=2 * MINUTE,
            expr="max(mlops_rollout_revision_wanted) > on () min(mlops_rollout_revision)",
            summary="The service does not take up the rollout's state",
            description="The platform wants revision {{ $value }}, and a worker of the service "
                        "still has an older one: it could not load a model, or can not read the "
                        "file.",
        ),
        *_burns(settings, clock),
    ]


def _burns(settings: Settings, clock: Clock) -> list[Alert]:
    """Latency: alarms as soon as the budget burns fast, and late when it burns slowly."""
    alerts, bound = [], bucket_of(settings.rollout.slow_ms)
    severities: tuple[Severity, ...] = ("critical", "warning")
    for severity in severities:
        parts = []
        for _, long, short, times in (each for each in BURNS if each[0] == severity):
            limit = f"{times * SLOW_BUDGET:g}"
            counted = f"mlops_request_seconds_count{{{PREDICT}}}"
            parts.append(
                f"(mlops:slow_predictions:share{long} > {limit} and "
                f"mlops:slow_predictions:share{short} > {limit} and "
                f"sum(increase({counted}[{clock.window(SLOW_WINDOWS[long])}])) > {MIN_REQUESTS})")
        alerts.append(Alert(
            name="LatencyBudgetBurn", severity=severity, wait=2 * MINUTE, expr=" or ".join(parts),
            summary="{{ $value | humanizePercentage }} of the predictions are too slow",
            description=f"{1 - SLOW_BUDGET:.0%} shall be answered within {bound * 1000:g} ms. "
                        + ("At this rate a month's allowance of slow answers is used up in days."
                           if severity == "critical" else
                           "At this rate a month's allowance of slow answers does not last it."),
        ))
    return alerts


def _model(settings: Settings) -> list[Alert]:
    drift = settings.drift
    return [
        Alert(
            name="PerformanceDrop", severity="critical", wait=MINUTE,
            expr=f"mlops:label_accuracy:certain_drop > {drift.label_tolerance:g}",
            summary="Labels show that the model became worse",
            description="Even the upper end of the accuracy's interval over production's labels "
                        "lies {{ $value | humanizePercentage }} below the held-out accuracy; "
                        f"{drift.label_tolerance:.0%} are borne.",
        ),
        Alert(
            name="PerformanceDrop", severity="warning", wait=5 * MINUTE,
            expr=f"mlops:estimated_accuracy:drop >= {drift.retrain_drop:g}",
            summary="The model probably became worse",
            description="Without labels its accuracy is estimated "
                        "{{ $value | humanizePercentage }} below the held-out one; from "
                        f"{drift.retrain_drop:.0%} on a new model is trained.",
        ),
        Alert(
            name="DriftDetected", severity="warning", wait=MINUTE,
            expr='mlops_drift_verdict{verdict="drifted"} == 1',
            summary="Production's images differ from those that the model was trained on",
            description="The evidence is beyond the alarm's bound, which a model that does not "
                        f"drift ever reaches with a chance of {drift.alpha:.0%}. Whether it "
                        "hurts is said by the drift report.",
        ),
    ]


def _loop() -> list[Alert]:
    running = "and on (sensor) mlops_dagster_sensor_running == 1"
    late = ("time() - mlops_dagster_sensor_last_tick_seconds > on (sensor) group_left () "
            f"({LATE_SECONDS} + {LATE_TICKS} * max by (sensor) "
            "(mlops_dagster_sensor_interval_seconds))")
    return [
        Alert(
            name="StaleData", severity="warning", wait=10 * MINUTE,
            expr="mlops_asset_fresh == 0",
            summary="{{ $labels.asset }} is older than it may be",
            description="No new materialization came within the time of "
                        "configs/freshness.yaml; what is made of it stands on old data.",
        ),
        Alert(
            name="RunFailed", severity="warning", wait=MINUTE,
            expr="mlops_dagster_last_run_failed == 1",
            summary="The last run of {{ $labels.dagster_job }} failed",
            description="Nothing was replaced: what it should have made is as it was before.",
        ),
        Alert(
            name="SensorNotTicking", severity="warning", wait=MINUTE,
            expr=f"({late} {running}) or (mlops_dagster_sensor_last_tick_failed == 1 {running})",
            summary="{{ $labels.sensor }} does not do its work",
            description="It is switched on, and its last tick failed or is long overdue. What it "
                        "should start by itself does not start.",
        ),
        Alert(
            name="CheckFailed", severity="info", wait=5 * MINUTE,
            expr="mlops_asset_check_passed == 0",
            summary="{{ $labels.check }} of {{ $labels.asset }} does not hold",
            description="A blocking check has also stopped what stands below the asset.",
        ),
    ]


def _machine(clock: Clock) -> list[Alert]:
    hour, free = clock.window(HOUR), "mlops_disk_free_bytes / mlops_disk_size_bytes"
    return [
        Alert(
            name="DiskFullSoon", severity="critical", wait=MINUTE,
            expr=f"{free} < 0.03",
            summary="The disk of {{ $labels.path }} is full",
            description="{{ $value | humanizePercentage }} of it is free. Without room the "
                        "service answers 503 and runs fail.",
        ),
        Alert(
            name="DiskFullSoon", severity="warning", wait=5 * MINUTE,
            expr=f"{free} < 0.1 or ({free} < 0.25 and "
                 f"predict_linear(mlops_disk_free_bytes[{hour}], {clock.seconds(4 * HOUR)}) < 0)",
            summary="The disk of {{ $labels.path }} is soon full",
            description="{{ $value | humanizePercentage }} of it is free, and that is little, or "
                        "at the last hour's pace gone in four hours.",
        ),
        Alert(
            name="GpuLost", severity="critical", wait=MINUTE,
            expr="mlops_gpu_count < mlops_gpu_count_max",
            summary="A GPU is gone",
            description="{{ $value }} are left, fewer than this machine had. Training waits, "
                        "fails, or goes on without it.",
        ),
        Alert(
            name="ConsoleDown", severity="critical", wait=MINUTE,
            expr='up{job="console"} == 0',
            summary="The console at {{ $labels.instance }} does not answer",
            description="It also tells Prometheus of drift, runs, sensors and the disk: until it "
                        "is back, alarms about these stay silent.",
        ),
        Alert(
            name="MlflowDown", severity="warning", wait=MINUTE,
            expr='up{job="mlflow"} == 0',
            summary="MLflow at {{ $labels.instance }} does not answer",
            description="Training can log nothing and fails, and no model can be registered or "
                        "given an alias. Predictions go on.",
        ),
        Alert(
            name="ConsoleSourceDown", severity="warning", wait=2 * MINUTE,
            expr=f'mlops_source_up == 0 unless (mlops_source_up{{source="{SERVICE_SOURCE}"}} '
                 f"and on () {UNRELEASED})",
            summary="The console gets nothing from {{ $labels.source }}",
            description="What it shows and measures of it is old or missing.",
        ),
    ]


def make_alerts(settings: Settings, clock: Clock) -> dict[str, list[Alert]]:
    """Group name to its alerts."""
    return {
        "service": _service(settings, clock),
        "model": _model(settings),
        "loop": _loop(),
        "machine": _machine(clock),
    }
