"""The features group: what training reads, embeddings, and the drift reference."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import dagster as dg

from mlops_assets.features.embeddings import build_embeddings
from mlops_assets.features.image_features import build_image_features, pin_known
from mlops_assets.features.shards import build_shards
from mlops_assets.features.statistics import build_statistics, read_origin
from mlops_assets.present import BATCHES, DATA_OWNER, ON_NEW_BYTES, check, materialize
from resources.engine import build_engine
from resources.feature_history import made_at
from resources.platform import Platform
from resources.steps import Step

GIB: Final = 2**30
Results = Iterator[dg.MaterializeResult[Any]]


@dg.asset(
    group_name="features",
    deps=["dataset", "raw_images"],
    kinds={"numpy"},
    owners=[DATA_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "Pixels of each split as memory-mapped uint8 arrays, from which training gathers whole "
        "batches without decoding anything; where they would not fit, the encoded images."
    ),
)
def training_shards(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Decode the dataset's images once."""
    settings = platform.settings
    pixels = settings.dataset.pixels
    step = Step(
        "features", ("training_shards",), inputs={"dataset": "one", "raw_images": "ancestor"},
        config={"pixels": pixels.model_dump(mode="json"),
                "shards_gib": settings.features.shards_gib},
    )
    yield from materialize(
        context, platform, step,
        lambda work: build_shards(pixels, work, threads=settings.training.threads,
                                  budget_bytes=settings.features.shards_gib * GIB),
    )


@dg.asset(
    group_name="features",
    partitions_def=BATCHES,
    deps=["validated_images", "raw_images"],
    kinds={"timm", "torch"},
    owners=[DATA_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "Each image of a batch as a vector of one fixed backbone, which does not change when the "
        "served model does, and as statistics of its pixels."
    ),
    check_specs=[
        check("embeddings", "finite", "Every value is a finite number."),
        check("embeddings", "complete", "Every validated image has an embedding."),
    ],
)
def embeddings(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Embed the validated images of a batch."""
    settings = platform.settings
    features, pixels, training = settings.features, settings.dataset.pixels, settings.training
    step = Step(
        "features", ("embeddings",),
        inputs={"raw_images": "same-partition", "validated_images": "same-partition"},
        config={**features.model_dump(mode="json", exclude={"shards_gib"}),
                "pixels": pixels.model_dump(mode="json")},
        seed=training.seed, threads=training.threads,
    )
    # The network itself uses the threads.
    engine = build_engine(settings.compute, threads=1)
    yield from materialize(
        context, platform, step,
        lambda work: build_embeddings(
            features, pixels, work, engine, seed=training.seed, threads=training.threads
        ),
    )


@dg.asset(
    group_name="features",
    partitions_def=BATCHES,
    deps=["validated_images", "embeddings"],
    kinds={"parquet"},
    owners=[DATA_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "What is known of each image of a batch, and since when: embedding, statistics, and the "
        "group of images that nearly equal it. The offline half of the feature store."
    ),
    check_specs=[
        check("image_features", "finite", "Every value is a finite number."),
        check("image_features", "complete", "Every validated image has its features."),
    ],
)
def image_features(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Gather the features of a batch."""
    near_rms = platform.settings.validation.issues.near_rms
    step = Step(
        "features", ("image_features",), inputs={"embeddings": "same-partition"},
        pinned=pin_known(platform.store, context.partition_key), config={"near_rms": near_rms},
    )
    yield from materialize(context, platform, step, partial(build_image_features, near_rms))


@dg.asset(
    group_name="features",
    deps=["training_shards", "image_features"],
    kinds={"numpy"},
    owners=[DATA_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "Distributions of the training images (pixels, embeddings, classes): the reference that "
        "drift in production is told from. Features are those known when the dataset was made."
    ),
)
def feature_statistics(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Describe the training split."""
    shards, dataset = read_origin(platform.store)
    as_of = made_at(platform.store, dataset)
    step = Step(
        "features", ("feature_statistics",), inputs={"image_features": "every-partition"},
        pinned={"training_shards": shards}, config={"as_of": as_of.isoformat()},
        packs=("resources/feature_history.py",),
    )
    yield from materialize(context, platform, step, partial(build_statistics, as_of))
