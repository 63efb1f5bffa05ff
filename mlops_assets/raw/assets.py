"""The raw group: one immutable snapshot of a source for each batch."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import dagster as dg

from mlops_assets.config import load_settings
from mlops_assets.contracts.files import LANDING_TAG, REQUESTS_FOLDER
from mlops_assets.present import BATCHES, DATA_OWNER, check, late_after, materialize
from mlops_assets.raw.build import (
    build_feedback,
    build_landed,
    build_snapshot,
    describe_source,
    hash_folder,
    say,
)
from mlops_assets.raw.feedback import is_feedback, pin_feedback
from resources.dvc import DvcRepository
from resources.landing import (
    Part,
    is_landing,
    open_landing,
    read_files_sha256,
    record_batch,
)
from resources.platform import Platform
from resources.steps import Step, StepResult, Workspace

READ_BY: Final = ("resources/folders.py", "resources/archives.py", "resources/landing.py",
                  "resources/read_ahead.py")


@dg.asset(
    freshness_policy=late_after(load_settings().freshness.raw_images),
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
        "origin, in Parquet shards. Never changed afterwards; tracked by DVC. Batches named "
        "`feedback-...` are images of production whose true label came later; others may come "
        "from the landing zone."
    ),
)
def raw_images(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[Any]]:
    """Take a snapshot of the configured source, a landed folder, or what production labelled."""
    settings, batch = platform.settings.dataset, context.partition_key
    landing, home, base = platform.settings.landing, platform.root, platform.project_root
    landed: Part | None = None
    build: Callable[[Workspace], None]
    if is_feedback(batch):
        limit = platform.settings.drift.max_labels
        step = Step("raw", ("raw_images",), pinned=pin_feedback(platform.store, batch),
                    config={"source": "production", "limit": limit})
        build = partial(build_feedback, settings, platform.root / REQUESTS_FOLDER, limit)
    elif LANDING_TAG in context.run.tags or is_landing(
            landing, home, batch, base=base, own=settings.batch):
        opened = partial(open_landing, landing, home, batch, base=base, dataset=settings)
        known = read_files_sha256(home, batch)
        if known is None:
            landed = opened()
            known = hash_folder(landed)
        step = Step("raw", ("raw_images",), packs=READ_BY,
                    config=say(settings) | {"files_sha256": known})

        def build(work: Workspace) -> None:
            build_landed(settings, landed or opened(), work)
    else:
        step = Step("raw", ("raw_images",), packs=READ_BY, config=describe_source(settings))
        build = partial(build_snapshot, settings)
    dvc = DvcRepository(platform.store.root)
    hashes: list[str] = []

    def track(result: StepResult) -> None:
        hashes.append(dvc.track(platform.store.path(result.ref)))
        if landed is not None:
            record_batch(home, batch, landed, str(step.config["files_sha256"]))

    for result in materialize(
        context, platform, step, build, finalize=track
    ):
        yield result._replace(metadata={**(result.metadata or {}), "dvc_hash": hashes[0]})
