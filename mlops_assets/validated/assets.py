"""The validated group: what may be trained on, what may not and why, and the split."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.present import BATCHES, DATA_OWNER, ON_NEW_BYTES, check, materialize
from mlops_assets.validated.build import build_validated
from mlops_assets.validated.dataset import build_dataset
from resources.engine import build_engine
from resources.forgotten import read_forgotten
from resources.platform import Platform
from resources.released import read_released
from resources.steps import Step


@dg.multi_asset(
    name="validate",
    specs=[
        dg.AssetSpec(
            "validated_images", deps=["raw_images"], group_name="validated",
            kinds={"pandera", "polars"}, owners=[DATA_OWNER], automation_condition=ON_NEW_BYTES,
            description="Manifest of the images of a batch that passed inspection and schema.",
        ),
        dg.AssetSpec(
            "quarantined_images", deps=["raw_images"], group_name="validated",
            kinds={"parquet"}, owners=[DATA_OWNER], automation_condition=ON_NEW_BYTES,
            description="Every image of a batch that can not be used: its bytes and the reason.",
        ),
    ],
    partitions_def=BATCHES,
    check_specs=[
        check("validated_images", "manifest_schema", "Every row satisfies the pandera schema."),
        check("validated_images", "quarantined_share", "Few enough images are quarantined."),
    ],
)
def validate(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[Any]]:
    """Inspect every image of a batch."""
    settings = platform.settings
    released = read_released(platform.root, platform.store, context.partition_key)
    step = Step(
        "validated", ("validated_images", "quarantined_images"),
        inputs={"raw_images": "same-partition"},
        config={**settings.validation.model_dump(mode="json"),
                **({"released": released} if released else {})},
    )
    engine = build_engine(settings.compute, threads=settings.training.threads)
    yield from materialize(
        context, platform, step,
        lambda work: build_validated(settings.validation, work, engine, released=released),
    )


@dg.asset(
    group_name="validated",
    deps=["validated_images"],
    kinds={"polars", "parquet"},
    owners=[DATA_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "All good batches in one table, split by a hash of each image. Its version is the Merkle "
        "root over its rows, so that any row's membership can be proven."
    ),
    check_specs=[
        check("dataset", "images_per_class", "Every class has enough images."),
        check("dataset", "class_balance", "No class outweighs another beyond the limit."),
        check("dataset", "batches_alike", "Each batch looks like the others.", blocking=False),
        check("dataset", "no_leakage", "No image stands in two splits."),
        check("dataset", "every_split_has_images", "Train, validation and test have images."),
    ],
    metadata={
        "dagster/column_schema": dg.TableSchema([
            dg.TableColumn("image_id", "string", description="SHA-256 of the encoded image"),
            dg.TableColumn("label", "string", description="class"),
            dg.TableColumn("split", "string", description="train, validation or test"),
            dg.TableColumn("batch", "string", description="partition of raw_images it came in"),
            dg.TableColumn("source", "string", description="name at its source"),
        ])
    },
)
def dataset(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[Any]]:
    """Merge all good batches."""
    settings = platform.settings
    shares, limits = settings.dataset.split, settings.validation
    forgotten = read_forgotten(platform.root)
    step = Step(
        "validated", ("dataset",), inputs={"validated_images": "every-partition"},
        config={"split": shares.model_dump(mode="json"), **limits.model_dump(mode="json"),
                "forgotten": forgotten},
    )
    yield from materialize(
        context, platform, step, lambda work: build_dataset(shares, limits, work, forgotten)
    )
