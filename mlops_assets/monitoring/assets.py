"""The monitoring group: from production back into the graph."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import dagster as dg

from mlops_assets.config import load_settings
from mlops_assets.contracts.files import REQUESTS_FOLDER
from mlops_assets.monitoring.drift_build import PAGE_FILE, Span, build_drift_report
from mlops_assets.monitoring.hours import first_hour
from mlops_assets.monitoring.logs import (
    build_feedback_labels,
    build_prediction_log,
    hash_labels,
)
from mlops_assets.monitoring.online import build_online_features, push_online
from mlops_assets.monitoring.performance import build_performance_report
from mlops_assets.monitoring.rollouts import build_rollout_report, facts, follow, look
from mlops_assets.monitoring.scoring import (
    build_batch_predictions,
    serving_model,
)
from mlops_assets.present import (
    AFTER_RELEASES,
    DATA_OWNER,
    MODEL_OWNER,
    ON_NEW_HOURS,
    PLATFORM_OWNER,
    RETRIES,
    check,
    late_after,
    materialize,
)
from mlops_assets.provenance.record import InputRef
from mlops_assets.serving.effect import change
from resources.engine import build_engine, usable_cores
from resources.folders import Kept, hash_listing, list_files, open_folder
from resources.journal import journal_folder, read_labels
from resources.mlflow import Tracking
from resources.pinned_hour import PinnedHour
from resources.platform import Platform
from resources.platform_db import PlatformDatabase
from resources.steps import Step, StepResult, parent_of

Results = Iterator[dg.MaterializeResult[Any]]
HOURS: Final = dg.HourlyPartitionsDefinition(
    start_date=first_hour(load_settings().home), end_offset=1
)
FOLDERS: Final = dg.DynamicPartitionsDefinition(name="scoring")


@dg.asset(
    freshness_policy=late_after(load_settings().freshness.prediction_log),
    group_name="monitoring",
    partitions_def=HOURS,
    deps=["rollout"],
    kinds={"parquet"},
    owners=[PLATFORM_OWNER],
    description="Every prediction answered in one hour, from the service's journal.",
    check_specs=[check("prediction_log", "unique_ids", "No prediction id stands twice.")],
)
def prediction_log(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Compact one hour of predictions."""
    hour = context.partition_key
    pinned = PinnedHour.of(journal_folder(platform.root), hour)
    sha256 = pinned.sha256()
    step = Step("monitoring", ("prediction_log",),
                config={"hour": hour, "predictions_sha256": sha256})
    yield from materialize(context, platform, step,
                           partial(build_prediction_log, pinned.records(sha256)))


@dg.asset(
    group_name="monitoring",
    partitions_def=HOURS,
    deps=["rollout"],
    kinds={"parquet"},
    owners=[PLATFORM_OWNER],
    description="True labels that arrived in one hour for predictions made then or earlier.",
)
def feedback_labels(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Compact one hour of labels."""
    hour = context.partition_key
    feedback = read_labels(journal_folder(platform.root), hour)
    step = Step("monitoring", ("feedback_labels",),
                config={"hour": hour, "feedback_sha256": hash_labels(feedback)})
    yield from materialize(context, platform, step, partial(build_feedback_labels, feedback))


class DriftWindow(dg.Config):
    """Hours to describe, as partition keys; empty: the latest predictions.

    The trigger's verdict is always of all predictions.
    """

    first_hour: str = ""
    last_hour: str = ""


@dg.asset(
    group_name="monitoring",
    deps=["prediction_log", "feedback_labels", "feature_statistics", "exported_model"],
    kinds={"scipy"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_HOURS,
    description=(
        "Whether production still looks like what the serving model is good at: the verdict, the "
        "signals, classes and images it rests on, what it costs in accuracy, and what to do."
    ),
    check_specs=[
        check("drift_report", "no_drift", "Production looks like the reference.", blocking=False),
    ],
)
def drift_report(
    context: dg.AssetExecutionContext, platform: Platform, config: DriftWindow
) -> Results:
    """Judge the serving model's predictions."""
    settings = platform.settings.drift
    span = Span(config.first_hour or None, config.last_hour or None)
    model = serving_model(platform.store, platform.root)
    step = Step(
        "monitoring", ("drift_report",),
        pinned={"exported_model": model,
                "training_shards": parent_of(platform.store, model, "training_shards")},
        inputs={"prediction_log": "any-partitions", "feedback_labels": "any-partitions",
                "feature_statistics": "one"},
        config={**settings.model_dump(mode="json", exclude={
            "cooldown_hours", "budget_a_week", "max_labels", "sensor_seconds",
            "monitor_seconds"}),
            "span": asdict(span)},
    )
    home = platform.root
    for result in materialize(context, platform, step, partial(
        build_drift_report, settings, span, home / REQUESTS_FOLDER, home / "work" / "drift",
    )):
        version = "" if result.data_version is None else result.data_version.value
        page = platform.store.path(InputRef(asset="drift_report", version=version)) / PAGE_FILE
        yield result._replace(metadata={
            **(result.metadata or {}), "report": dg.MetadataValue.path(str(page))})


@dg.asset(
    group_name="monitoring",
    deps=["prediction_log", "feedback_labels"],
    kinds={"polars"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_HOURS,
    description="Accuracy in production on labels that arrived late, by model and class.",
)
def performance_report(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Join predictions and late labels."""
    step = Step(
        "monitoring", ("performance_report",),
        inputs={"prediction_log": "any-partitions", "feedback_labels": "any-partitions"},
    )
    yield from materialize(context, platform, step, build_performance_report)


@dg.asset(
    retry_policy=RETRIES,
    group_name="monitoring",
    deps=["image_features", "prediction_log"],
    kinds={"feast"},
    owners=[DATA_OWNER],
    automation_condition=AFTER_RELEASES,
    # Reports that decide something come first in a run of all of them.
    op_tags={"dagster/priority": "-1"},
    description=(
        "What is known of each image, to be read by its id: embedding, statistics, near-duplicate "
        "group, and what was answered for it. Brings into the online store what is new."
    ),
)
def online_features(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Push new batches and hours."""
    step = Step("monitoring", ("online_features",),
                inputs={"image_features": "any-partitions", "prediction_log": "any-partitions"},
                packs=("resources/feature_history.py", "resources/feature_store.py"))
    rows: dict[str, int] = {}

    def push(result: StepResult) -> None:
        written = push_online(platform.root, platform.store, result.record.inputs)
        rows.update({f"{view}_rows_written": count for view, count in asdict(written).items()})

    for result in materialize(context, platform, step, build_online_features, finalize=push):
        yield result._replace(metadata={**(result.metadata or {}), **rows})


@dg.asset(
    retry_policy=RETRIES,
    group_name="monitoring",
    deps=["rollout"],
    kinds={"scipy", "sqlite"},
    owners=[PLATFORM_OWNER],
    description=(
        "Whether the newer model may take more traffic: failures, slow answers and wrong ones "
        "against the champion's, as intervals that hold at every look. It goes a step up, waits, "
        "or goes back."
    ),
)
def rollout_report(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Judge the step at which the rollout is, and follow the judgement."""
    settings = platform.settings
    with closing(PlatformDatabase(platform.root)) as database:
        found = look(platform.root, database.read_state(), settings.rollout)
    after = change(
        platform.root, Tracking(platform.root, settings.release.experiment),
        settings.release.model_name, partial(follow, found),
        actor="rollout_report", action="judge",
        details={**facts(found), "dagster_run_id": context.run.run_id},
    )
    step = Step("monitoring", ("rollout_report",), config={
        "found": facts(found), "next": after.model_dump(mode="json"),
        "rules": settings.rollout.model_dump(mode="json")})
    yield from materialize(
        context, platform, step, partial(build_rollout_report, found, after))


@dg.asset(
    group_name="monitoring",
    partitions_def=FOLDERS,
    deps=["exported_model"],
    kinds={"onnx", "parquet"},
    owners=[MODEL_OWNER],
    description=(
        "What the champion answers for every image of one folder below `scoring.root`: label, "
        "confidence and probabilities, or why an image could not be read. The partition is the "
        "folder's name. An interrupted scoring goes on where it was."
    ),
    check_specs=[
        check("batch_predictions", "all_scored", "Every image could be decoded.", blocking=False),
    ],
)
def batch_predictions(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Score a folder, or see that its content and the model are as before."""
    settings = platform.settings.scoring
    folder = Kept(open_folder(settings.root, context.partition_key,
                              base=platform.project_root, setting="configs/scoring.yaml"))
    engine = build_engine(platform.settings.compute, threads=settings.threads)
    files = list_files(folder, threads=settings.threads or usable_cores())
    step = Step(
        "monitoring", ("batch_predictions",),
        pinned={"exported_model": serving_model(platform.store, platform.root)},
        config={"files": len(files), "files_sha256": hash_listing(files),
                "batch_size": settings.batch_size, "chunk_images": settings.chunk_images},
        packs=("bentos/dimensions.py", "resources/folders.py"),
    )

    def forget(result: StepResult) -> None:
        progress = platform.root / "work" / result.record.step_key
        if progress.is_dir():
            shutil.rmtree(progress)

    yield from materialize(
        context, platform, step,
        lambda work: build_batch_predictions(
            settings, folder, files, platform.root / "work" / work.step_key, work, engine),
        finalize=forget,
    )
