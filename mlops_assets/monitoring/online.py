"""Build of ``online_features``: which partitions the online store has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mlops_assets.contracts.files import PREDICTIONS_FILE
from mlops_assets.contracts.image_features import FEATURES_FILE
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.provenance.record import InputRef
from resources.feature_history import Hour
from resources.feature_store import ImageFeatureStore, Written
from resources.steps import Workspace
from resources.store import ArtifactStore

ONLINE_FILE: Final = "online.json"
READ: Final = ("image_features", "prediction_log")


def build_online_features(work: Workspace) -> None:
    """Write down the partitions that are to be read online."""
    listed = {asset: {str(ref.partition): ref.version for ref in work.pins[asset]}
              for asset in READ}
    (work.out("online_features") / ONLINE_FILE).write_bytes(canonical_json(listed))
    work.summary("online_features").values |= {
        "batches": len(listed["image_features"]), "hours": len(listed["prediction_log"])}


def push_online(home: Path, store: ArtifactStore, inputs: list[InputRef]) -> Written:
    """Bring what a materialization read into the online store."""
    batches = {str(ref.partition): (ref.version, store.path(ref) / FEATURES_FILE)
               for ref in inputs if ref.asset == "image_features"}
    hours = [Hour(str(ref.partition), ref.version, store.path(ref) / PREDICTIONS_FILE)
             for ref in inputs if ref.asset == "prediction_log"]
    return ImageFeatureStore(home).push(batches, hours)
