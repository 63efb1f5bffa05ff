"""One partition of the data assets, by a process of its own: ``home partition``."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from mlops_assets.definitions import assets
from resources.platform import Platform
from tests.graph import explain

SELECTION = dg.AssetSelection.assets(
    "raw_images", "validated_images", "quarantined_images", "embeddings")


def materialize(home: Path, partition: str, instance: dg.DagsterInstance) -> None:
    """Take a batch from the landing zone to its embeddings."""
    if not instance.has_dynamic_partition("batch", partition):
        instance.add_dynamic_partitions("batch", [partition])
    result = dg.materialize(
        assets, instance=instance, partition_key=partition, raise_on_error=False,
        selection=SELECTION, resources={
            "platform": Platform(profile="demo", home=str(home)),
            "pipes": dg.PipesSubprocessClient()})
    assert result.success, explain(result)


if __name__ == "__main__":
    with dg.DagsterInstance.ephemeral() as made:
        materialize(Path(sys.argv[1]), sys.argv[2], made)
