"""What Prometheus scrapes of the console: the loop as numbers, as its sources were last seen."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CollectorRegistry, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mlops_assets.contracts.rollout import LADDER
from ui.server.gpus import Gpus
from ui.server.world import World

STEPS: Final = ("idle", "held", *LADDER)
VERDICTS: Final = ("stable", "watch", "drifted", "too-few")
# How the report words its ways to tell accuracy.
HOW: Final = {
    "late labels": "mlops_label_accuracy",
    "estimated without labels, latest window": "mlops_estimated_accuracy",
    "held-out images": "mlops_held_out_accuracy", "in its rollout": "mlops_held_out_accuracy",
}
QUEUED: Final = ("QUEUED", "NOT_STARTED")


class LoopCollector(Collector):
    """Gauges of one console."""

    def __init__(self, world: World) -> None:
        self._world, self._gpus = world, Gpus()

    def collect(self) -> Iterable[Metric]:
        """Everything, as it was last seen."""
        yield from self._sources()
        yield from self._runs()
        yield from self._sensors()
        yield from self._assets()
        yield from self._drift()
        yield from self._serving()
        yield from self._journal()
        yield from self._machine()
        yield from self._gpus.collect()

    def _sources(self) -> Iterator[Metric]:
        yield _gauge("mlops_source_up", "Whether a program underneath answered the last look",
                     "source", {each.name: float(not each.seen.problem and
                                                 each.seen.at is not None)
                                for each in self._world.sources if each.configured})

    def _runs(self) -> Iterator[Metric]:
        runs = self._world.dagster.value.runs
        found = GaugeMetricFamily("mlops_dagster_runs", "Runs of the last day",
                                  labels=["job", "status"])
        for (job, status), count in Counter((run.job, run.status) for run in runs).items():
            found.add_metric([job, status], count)
        yield found
        latest: dict[str, str] = {}
        for run in runs:
            if run.status in ("SUCCESS", "FAILURE", "CANCELED"):
                latest.setdefault(run.job, run.status)
        yield _gauge("mlops_dagster_last_run_failed", "Whether the last run that ended failed",
                     "job", {job: float(status == "FAILURE") for job, status in latest.items()})
        waiting = sum(run.status in QUEUED for run in runs)
        yield GaugeMetricFamily("mlops_dagster_queued_runs", "Runs that wait", value=waiting)

    def _sensors(self) -> Iterator[Metric]:
        sensors = [each for each in self._world.dagster.value.sensors if not each.schedule]
        yield _gauge("mlops_dagster_sensor_running", "Whether a sensor is switched on", "sensor",
                     {each.name: float(each.running) for each in sensors})
        yield _gauge("mlops_dagster_sensor_last_tick_seconds", "Unix time of the last tick",
                     "sensor", {each.name: each.ticked for each in sensors if each.ticked})
        yield _gauge("mlops_dagster_sensor_interval_seconds", "Seconds between ticks, at least",
                     "sensor", {each.name: each.interval for each in sensors})
        yield _gauge("mlops_dagster_sensor_last_tick_failed", "Whether the last tick failed",
                     "sensor", {each.name: float(each.tick == "FAILURE") for each in sensors})

    def _assets(self) -> Iterator[Metric]:
        seen = self._world.dagster.value
        yield _gauge("mlops_asset_fresh", "Whether an asset is as fresh as its policy asks",
                     "asset", {each.name: float(each.freshness in ("HEALTHY", "WARNING"))
                               for each in seen.assets.values()
                               if each.freshness in ("HEALTHY", "WARNING", "UNHEALTHY",
                                                     "DEGRADED")})
        yield _gauge("mlops_asset_materialized_seconds", "Unix time of the last materialization",
                     "asset", {each.name: each.materialized for each in seen.assets.values()
                               if each.materialized})
        checks = GaugeMetricFamily("mlops_asset_check_passed", "Whether an asset check passed",
                                   labels=["asset", "check"])
        for check in seen.checks:
            if check.status in ("SUCCEEDED", "FAILED", "EXECUTION_FAILED"):
                checks.add_metric([check.asset, check.name], float(check.status == "SUCCEEDED"))
        yield checks

    def _drift(self) -> Iterator[Metric]:
        report = self._world.store.value.report
        if report is None:
            return
        body = report.body
        if body["evidence"] is not None:
            yield GaugeMetricFamily("mlops_drift_evidence", "E-value against no drift",
                                    value=body["evidence"])
        yield GaugeMetricFamily("mlops_drift_alarm_at", "E-value from which it is drift",
                                value=body["alarm_at"])
        yield _gauge("mlops_drift_verdict", "1 for the verdict of the latest report", "verdict",
                     {each: float(body["verdict"] == each) for each in VERDICTS})
        for row in body["accuracy"]:
            name = HOW[row["how"]]
            yield GaugeMetricFamily(name, f"Accuracy: {row['how']}", value=row["accuracy"])
            for bound in ("lower", "upper") if row["how"] == "late labels" else ():
                yield GaugeMetricFamily(f"{name}_{bound}", f"Its {bound} bound at 95 %",
                                        value=row[bound])

    def _serving(self) -> Iterator[Metric]:
        state = self._world.ledger.value.state
        yield _gauge("mlops_rollout_step", "1 for the step of the rollout", "step",
                     {each: float(state.step == each) for each in STEPS})
        yield GaugeMetricFamily("mlops_rollout_revision_wanted",
                                "Revision of the state of serving", value=state.revision)

    def _journal(self) -> Iterator[Metric]:
        if newest := self._world.journal_book.newest:
            yield GaugeMetricFamily("mlops_journal_newest_seconds",
                                    "Unix time of the newest answer in the journal", value=newest)

    def _machine(self) -> Iterator[Metric]:
        home = self._world.console.home
        usage = shutil.disk_usage(home if home.is_dir() else home.parent)
        path = "platform home"
        yield _gauge("mlops_disk_free_bytes", "Free bytes of a disk", "path", {path: usage.free})
        yield _gauge("mlops_disk_size_bytes", "Size of a disk", "path", {path: usage.total})


def _gauge(name: str, text: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    found = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        found.add_metric([key], value)
    return found


def registry_of(world: World) -> CollectorRegistry:
    """A registry of one console; its own, so that tests may have several."""
    registry = CollectorRegistry()
    registry.register(LoopCollector(world))
    return registry
