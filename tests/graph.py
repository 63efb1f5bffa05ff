"""Runs the real asset graph on a small image folder, in this process."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from resources.mlflow import Tracking
from resources.platform import Platform
from resources.store import ArtifactStore

DIGITS_SETTINGS = {
    "DATASET__SOURCE": "image_folder",
    "DATASET__PIXELS__HEIGHT": "16",
    "DATASET__PIXELS__WIDTH": "16",
    "DATASET__PIXELS__CHANNELS": "1",
    "TRAINING__EPOCHS": "8",
    "TRAINING__BATCH_SIZE": "32",
    "TRAINING__LEARNING_RATE": "0.01",
    "TRAINING__FLIP": "false",
    "TRAINING__SHIFT": "1",
    "TRAINING__DEVICE": "cpu",
    "TRAINING__THREADS": "1",
    "GATE__MIN_SLICE_ROWS": "5",
    "EXPORT__MEASURE_SECONDS": "0.3",
    "VALIDATION__MAX_QUARANTINED_SHARE": "0.2",
}
BATCH_GROUPS = ("raw", "validated", "features", "models", "releases")


def set_digits(patch: Any, root: Path, **changes: str) -> None:
    """Point the settings at an image folder; ``changes`` are ``SECTION__KEY="value"``."""
    for key, value in {**DIGITS_SETTINGS, "DATASET__ROOT": str(root), **changes}.items():
        patch.setenv(f"MLOPS__{key}", value)


@dataclass
class Graph:
    """A platform home with a Dagster instance of its own."""

    home: Path
    instance: dg.DagsterInstance = field(init=False)

    def __post_init__(self) -> None:
        place = self.home / "dagster"
        place.mkdir(parents=True)
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(place))
        self.instance.add_dynamic_partitions("batch", ["initial"])

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.home / "store")

    @property
    def tracking(self) -> Tracking:
        return Tracking(self.home, "mlops-assets")

    @property
    def definitions(self) -> dg.Definitions:
        """Those of this home: their module reads the settings when it is loaded."""
        from mlops_assets import definitions

        return importlib.reload(definitions).defs

    def run(
        self, selection: dg.AssetSelection | None = None, partition: str | None = "initial",
        config: dict[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialize a selection; by default everything from raw to releases."""
        from mlops_assets.definitions import assets

        return dg.materialize(
            assets, instance=self.instance, partition_key=partition, raise_on_error=False,
            selection=selection or dg.AssetSelection.groups(*BATCH_GROUPS), run_config=config,
            resources={"platform": Platform(profile="demo", home=str(self.home)),
                       "pipes": dg.PipesSubprocessClient()},
        )

    def latest(self, asset: str) -> dg.AssetMaterialization:
        """The last materialization of an asset."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None, asset
        assert event.asset_materialization is not None
        return event.asset_materialization

    def value(self, asset: str, key: str) -> Any:
        """One metadata value of the last materialization."""
        return self.latest(asset).metadata[key].value


def explain(result: dg.ExecuteInProcessResult) -> str:
    """Errors of failed steps, for assertion messages."""
    return "\n".join(
        f"{event.step_key}: {event.step_failure_data.error}"
        for event in result.all_events if event.is_step_failure
    )
