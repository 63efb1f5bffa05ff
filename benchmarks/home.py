"""A platform home in a temporary folder, on which a benchmark runs the real asset graph."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg

from resources.mlflow import Tracking
from resources.platform import Platform
from resources.store import ArtifactStore

PROFILE: Final = "demo"


@dataclass(frozen=True, slots=True)
class Home:
    """A home with a Dagster instance of its own, whose storage is SQLite on disk."""

    root: Path
    instance: dg.DagsterInstance

    @property
    def store(self) -> ArtifactStore:
        """Its artifacts."""
        return ArtifactStore(self.root / "store")

    @property
    def tracking(self) -> Tracking:
        """Its MLflow, embedded."""
        return Tracking(self.root, "mlops-assets")

    def materialize(
        self, selection: dg.AssetSelection, partition: str | None = None
    ) -> tuple[dg.ExecuteInProcessResult, float]:
        """Run a selection in this process: what happened, and its seconds.

        It ends the benchmark when a step fails.
        """
        from mlops_assets.definitions import assets

        resources = {"platform": Platform(profile=PROFILE, home=str(self.root)),
                     "pipes": dg.PipesSubprocessClient()}
        began = time.perf_counter()
        result = dg.materialize(
            assets, selection=selection, instance=self.instance, partition_key=partition,
            resources=resources, raise_on_error=False,
        )
        seconds = time.perf_counter() - began
        if not result.success:
            failed = [event for event in result.all_events if event.is_step_failure]
            raise SystemExit("\n".join(
                f"{event.step_key}: {event.step_failure_data.error}" for event in failed
            ))
        return result, seconds

    def value(self, asset: str, key: str) -> Any:
        """One metadata value of an asset's last materialization."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        if event is None or event.asset_materialization is None:
            raise SystemExit(f"`{asset}` was not materialized")
        return event.asset_materialization.metadata[key].value


@contextmanager
def temporary_home(root: Path) -> Iterator[Home]:
    """A home at ``root``, which this process's environment names from now on."""
    os.environ |= {"PLATFORM_HOME": str(root), "MLOPS_PROFILE": PROFILE,
                   "DAGSTER_DISABLE_TELEMETRY": "yes"}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    logging.getLogger("dagster").setLevel(logging.WARNING)
    dagster = root / "dagster"
    dagster.mkdir(parents=True)
    with dg.DagsterInstance.local_temp(
        str(dagster), overrides={"telemetry": {"enabled": False},
                                 "python_logs": {"python_log_level": "WARNING"}},
    ) as instance:
        instance.add_dynamic_partitions("batch", ["initial"])
        yield Home(root, instance)
