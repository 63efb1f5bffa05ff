"""For every alert: series that make it fire, and series that it stays silent at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Labels = dict[str, str]
PREDICT = 'route="/v1/predict"'


@dataclass(frozen=True, kw_only=True)
class Case:
    """Series a minute apart in promtool's notation, and who fires at the end.

    ``fires`` holds the labels of each alert, ``value`` its value as a person reads it, or one each.
    """

    alert: str
    what: str
    series: dict[str, str]
    at: str = "10m"
    fires: tuple[Labels, ...] = ()
    value: str | tuple[str, ...] = ""


@dataclass(frozen=True)
class _Alert:
    name: str
    cases: list[Case] = field(default_factory=list)

    def fires(self, what: str, series: dict[str, str], *labels: Labels, **more: Any) -> _Alert:
        self.cases.append(Case(alert=self.name, what=what, series=series, fires=labels, **more))
        return self

    def silent(self, what: str, series: dict[str, str], **more: Any) -> _Alert:
        self.cases.append(Case(alert=self.name, what=what, series=series, **more))
        return self


CRITICAL, WARNING, INFO = ({"severity": each} for each in ("critical", "warning", "info"))
SERVICE = 'up{job="service",instance="s"}'
CONSOLE = 'up{job="console",instance="c"}'
MLFLOW = 'up{job="mlflow",instance="m"}'
DISK = 'mlops_disk_{}_bytes{{path="/srv"}}'
DISK_FULL = {DISK.format("size"): "1000x200"}
RUNS = 'mlops_dagster_sensor_running{sensor="drift"}'
TICK = 'mlops_dagster_sensor_last_tick_seconds{sensor="drift"}'
FAILED = 'mlops_dagster_sensor_last_tick_failed{sensor="drift"}'
EVERY = {'mlops_dagster_sensor_interval_seconds{sensor="drift"}': "30x20"}


def _requests(**counts: int) -> dict[str, str]:
    """So many requests a minute of each status."""
    return {
        f'mlops_requests_total{{{PREDICT},status="{status[1:]}"}}': f"0+{count}x20"
        for status, count in counts.items()
    }


def _latency(in_time: int, minutes: int) -> dict[str, str]:
    """Of a hundred predictions a minute, so many in time."""
    return {
        f'mlops_request_seconds_bucket{{{PREDICT},le="0.25"}}': f"0+{in_time}x{minutes}",
        f"mlops_request_seconds_count{{{PREDICT}}}": f"0+100x{minutes}",
    }


ALERTS = (
    _Alert("ServiceDown").fires(
        "no answer, and a model is released",
        {SERVICE: "1 1 0x20", "mlops_rollout_revision_wanted": "3x20"},
        {**CRITICAL, "job": "service", "instance": "s"},
    ).fires(
        "no answer, and the console is silent too", {SERVICE: "1 1 0x20"},
        {**CRITICAL, "job": "service", "instance": "s"},
    ).silent("no model was ever released",
             {SERVICE: "0x20", "mlops_rollout_revision_wanted": "0x20"})
    .silent("a single scrape failed", {SERVICE: "1 1 0 1x20"}, at="2m")
    .silent("it answers", {SERVICE: "1x20"}),

    _Alert("HighErrorRate").fires(
        "a tenth of the requests fail", _requests(_200=90, _500=7, _503=3), CRITICAL, value="10%",
    ).silent("clients err", _requests(_200=50, _400=30, _429=20))
    .silent("one in a hundred fails", _requests(_200=99, _500=1))
    .silent("it has just begun", {
        **_requests(_200=90), f'mlops_requests_total{{{PREDICT},status="500"}}': "0x9 60x10",
    }).silent("hardly anybody asks", _requests(_200=2, _500=1)),

    _Alert("JournalFaults").fires(
        "records were refused", {'mlops_journal_faults_total{job="service"}': "0x6 3x20"},
        {**CRITICAL, "job": "service"},
    ).silent("none was", {'mlops_journal_faults_total{job="service"}': "3x20"})
    .silent("it is over", {'mlops_journal_faults_total{job="service"}': "0 0 3x30"}, at="20m"),

    _Alert("RolloutNotTaken").fires(
        "one worker is behind",
        {"mlops_rollout_revision_wanted": "4x20", 'mlops_rollout_revision{pid="1"}': "4x20",
         'mlops_rollout_revision{pid="2"}': "3x20"},
        WARNING, value="4",
    ).silent("it was taken up at once",
             {"mlops_rollout_revision_wanted": "3x3 4x20", "mlops_rollout_revision": "3x4 4x20"},
             at="4m")
    .silent("there is no service", {"mlops_rollout_revision_wanted": "4x20"}),

    _Alert("LatencyBudgetBurn").fires(
        "a fifth is slow for an hour", _latency(80, 60), CRITICAL, WARNING, at="1h", value="20%",
    ).fires("a twentieth is slow for a day", _latency(95, 1440), WARNING, at="1d", value="5%")
    .fires("a fifth is slow in the tenth hour", {
        f'mlops_request_seconds_bucket{{{PREDICT},le="0.25"}}': "0+100x540 54080+80x59",
        f"mlops_request_seconds_count{{{PREDICT}}}": "0+100x600",
    }, CRITICAL, WARNING, at="10h", value=("20%", "2%"))
    .fires("a little less for six hours", _latency(92, 360), CRITICAL, WARNING, at="6h",
           value="8%")
    .fires("it burnt for an hour and is over: nothing that is urgent", {
        f'mlops_request_seconds_bucket{{{PREDICT},le="0.25"}}': "0+80x60 4900+100x125",
        f"mlops_request_seconds_count{{{PREDICT}}}": "0+100x186",
    }, WARNING, at="3h", value="6.667%")
    .silent("what the budget allows", _latency(996, 1440), at="1d")
    .silent("all are in time", _latency(100, 60), at="1h")
    .silent("hardly anybody asks", {
        f'mlops_request_seconds_bucket{{{PREDICT},le="0.25"}}': "0x60",
        f"mlops_request_seconds_count{{{PREDICT}}}": "0x30 1 2 3x40",
    }, at="1h"),

    _Alert("PerformanceDrop").fires(
        "labels are certain", {"mlops_held_out_accuracy": "0.9x20",
                               "mlops_label_accuracy_upper": "0.85x20"}, CRITICAL, value="5%",
    ).fires("the estimate says so", {"mlops_held_out_accuracy": "0.9x20",
                                     "mlops_estimated_accuracy": "0.8x20"}, WARNING, value="10%")
    .silent("the drop is borne", {"mlops_held_out_accuracy": "0.9x20",
                                  "mlops_label_accuracy_upper": "0.89x20",
                                  "mlops_estimated_accuracy": "0.87x20"})
    .silent("it has just begun", {"mlops_held_out_accuracy": "0.9x20",
                                  "mlops_label_accuracy_upper": "0.89x8 0.8x20",
                                  "mlops_estimated_accuracy": "0.87x8 0.8x20"}, at="9m")
    .silent("there are no labels", {"mlops_held_out_accuracy": "0.9x20"}),

    _Alert("DriftDetected").fires(
        "the verdict is so",
        {'mlops_drift_verdict{verdict="drifted"}': "0x3 1x20",
         'mlops_drift_verdict{verdict="stable"}': "1x3 0x20"},
        {**WARNING, "verdict": "drifted"},
    ).silent("it has just begun", {'mlops_drift_verdict{verdict="drifted"}': "0x9 1x20"})
    .silent("it is watched", {'mlops_drift_verdict{verdict="drifted"}': "0x20",
                              'mlops_drift_verdict{verdict="watch"}': "1x20"}),

    _Alert("StaleData").fires(
        "nothing came", {'mlops_asset_fresh{asset="prediction_log"}': "1x2 0x30"},
        {**WARNING, "asset": "prediction_log"}, at="20m",
    ).silent("it came late", {'mlops_asset_fresh{asset="prediction_log"}': "1x2 0x5 1x30"},
             at="20m"),

    _Alert("RunFailed").fires(
        "the last one failed", {'mlops_dagster_last_run_failed{dagster_job="retrain"}': "0x3 1x20"},
        {**WARNING, "dagster_job": "retrain"},
    ).silent("the next one did not",
             {'mlops_dagster_last_run_failed{dagster_job="retrain"}': "1x3 0x20"}),

    _Alert("SensorNotTicking").fires(
        "no tick for minutes", {TICK: "0x20", RUNS: "1x20", FAILED: "0x20", **EVERY},
        {**WARNING, "sensor": "drift"},
    ).fires("the last one failed", {TICK: "0+60x20", RUNS: "1x20", FAILED: "1x20", **EVERY},
            {**WARNING, "sensor": "drift"})
    .silent("it ticks", {TICK: "0+60x20", RUNS: "1x20", FAILED: "0x20", **EVERY})
    .silent("it is switched off", {TICK: "0x20", RUNS: "0x20", FAILED: "1x20", **EVERY}),

    _Alert("CheckFailed").fires(
        "it does not hold", {'mlops_asset_check_passed{asset="dataset",check="balance"}': "0x20"},
        {**INFO, "asset": "dataset", "check": "balance"},
    ).silent("it holds", {'mlops_asset_check_passed{asset="dataset",check="balance"}': "1x20"}),

    _Alert("DiskFullSoon").fires(
        "nothing is left", {DISK.format("free"): "20x20", **DISK_FULL},
        {**CRITICAL, "path": "/srv"}, {**WARNING, "path": "/srv"}, value="2%",
    ).fires("little is left", {DISK.format("free"): "50x20", **DISK_FULL},
            {**WARNING, "path": "/srv"}, value="5%")
    .fires("it goes fast", {DISK.format("free"): "290-1x200", **DISK_FULL},
           {**WARNING, "path": "/srv"}, at="100m", value="19%")
    .silent("it goes slowly", {DISK.format("free"): "240-0.1x200", **DISK_FULL}, at="100m")
    .silent("there is room", {DISK.format("free"): "900-1x200", **DISK_FULL}, at="100m"),

    _Alert("GpuLost").fires(
        "one is gone", {"mlops_gpu_count": "2x3 1x20", "mlops_gpu_count_max": "2x20"},
        CRITICAL, value="1",
    ).silent("there never was one", {"mlops_gpu_count": "0x20", "mlops_gpu_count_max": "0x20"}),

    _Alert("ConsoleDown").fires(
        "no answer", {CONSOLE: "1 0x20"}, {**CRITICAL, "job": "console", "instance": "c"},
    ).silent("it answers", {CONSOLE: "1x20"}),

    _Alert("MlflowDown").fires(
        "no answer", {MLFLOW: "1 0x20"}, {**WARNING, "job": "mlflow", "instance": "m"},
    ).silent("a single scrape failed", {MLFLOW: "1 1 0 1x20"}, at="2m")
    .silent("it answers", {MLFLOW: "1x20"})
    .silent("it is not scraped", {CONSOLE: "1x20"}),

    _Alert("ConsoleSourceDown").fires(
        "one is silent", {'mlops_source_up{source="MLflow"}': "1 0x20",
                          'mlops_source_up{source="Dagster"}': "1x20"},
        {**WARNING, "source": "MLflow"},
    ).silent("it was restarted", {'mlops_source_up{source="MLflow"}': "1x5 0 1x20"})
    .silent("no model was ever released", {'mlops_source_up{source="Service"}': "0x20",
                                           "mlops_rollout_revision_wanted": "0x20"}),
)
CASES = tuple(case for alert in ALERTS for case in alert.cases)
