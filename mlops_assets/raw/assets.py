"""The raw group: one immutable snapshot of a source for each batch."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.present import BATCHES, DATA_OWNER, check, materialize
from mlops_assets.raw.build import build_snapshot, describe_source
from resources.dvc import DvcRepository
from resources.platform import Platform
from resources.steps import Step, StepResult


@dg.asset(
    group_name="raw",
    partitions_def=BATCHES,
    kinds={"dvc", "parquet"},
    owners=[DATA_OWNER],
    check_specs=[
        check("raw_images", "every_class_has_images", "No known class is without images.",
              blocking=False),
    ],
    description=(
        "The images of one batch exactly as their source gave them: encoded bytes, label and "
        "origin, in Parquet shards. Never changed afterwards; tracked by DVC."
    ),
)
def raw_images(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[Any]]:
    """Take a snapshot of the configured source."""
    settings = platform.settings.dataset
    config = describe_source(settings)
    step = Step("raw", ("raw_images",), config=config)
    dvc = DvcRepository(platform.store.root)
    hashes: list[str] = []

    def track(result: StepResult) -> None:
        hashes.append(dvc.track(platform.store.path(result.ref)))

    for result in materialize(
        context, platform, step, lambda work: build_snapshot(settings, work), finalize=track
    ):
        yield result._replace(metadata={**(result.metadata or {}), "dvc_hash": hashes[0]})
