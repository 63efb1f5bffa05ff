"""The models group: training, evaluation and gate, export, registry."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.config import Settings
from mlops_assets.models.registration import (
    champion_pin,
    make_origin,
    offer_as_challenger,
    read_scores,
    start_pin,
    write_registration,
)
from mlops_assets.models.train_step import TRAINING_ENV, Launch, train_in_process
from mlops_assets.nodes import Nodes, find_launcher
from mlops_assets.present import MODEL_OWNER, ON_NEW_BYTES, RETRIES, check, materialize
from resources.forgotten import read_forgotten
from resources.mlflow import Tracking
from resources.platform import Platform
from resources.steps import Step, Workspace

Results = Iterator[dg.MaterializeResult[Any]]


def _tracking(platform: Platform) -> Tracking:
    return Tracking(platform.root, platform.settings.release.experiment)


def _launch(
    context: dg.AssetExecutionContext, settings: Settings, pipes: dg.PipesSubprocessClient,
    place: Path,
) -> Launch:
    """What runs the training's command: a process here, or one on each of several nodes."""
    count, op = settings.training.nodes, context.op_execution_context
    if count == 1:
        parent = ("--parent", str(os.getpid()))
        return lambda command: pipes.run(
            context=op, command=[*command, *parent], env=TRAINING_ENV)
    nodes = Nodes(count, settings.compute, find_launcher(context.instance, count))
    return lambda command: nodes.run(op, command, TRAINING_ENV, place)


@dg.asset(
    retry_policy=RETRIES,
    group_name="models",
    deps=["training_shards"],
    kinds={"timm", "torch", "mlflow"},
    owners=[MODEL_OWNER],
    pool="gpu",
    automation_condition=ON_NEW_BYTES,
    description=(
        "A timm model trained on the shards, in a process of its own; the same inputs, settings "
        "and hardware give the same bytes. With new images from production it goes on from the "
        "champion. Curves are in MLflow while it trains."
    ),
)
def trained_model(
    context: dg.AssetExecutionContext, platform: Platform, pipes: dg.PipesSubprocessClient
) -> Results:
    """Train, or go on with an interrupted training."""
    settings = platform.settings
    training = settings.training
    warm = start_pin(
        platform.store, _tracking(platform), settings.release.model_name,
        read_forgotten(platform.root)) if training.warm_start else {}
    step = Step(
        "models", ("trained_model",), inputs={"training_shards": "one"}, pinned=warm,
        config=training.model_dump(mode="json"), seed=training.seed, threads=training.threads,
        device=training.device,
    )

    def build(work: Workspace) -> None:
        tracking = _tracking(platform)
        tags = {"mlops.training_shards": work.pins["training_shards"][0].version}
        place = platform.root / "work" / work.step_key
        train_in_process(
            training, work, place, tracking,
            lambda: tracking.run(context, asset="trained_model", tags=tags),
            _launch(context, settings, pipes, place),
        )

    for result in materialize(context, platform, step, build):
        shown = dict(result.metadata or {})
        page = _tracking(platform).page(str(shown["mlflow_run_id"]))
        if page is not None:
            shown["mlflow_run"] = dg.MetadataValue.url(page)
        yield result._replace(metadata=shown)


@dg.asset(
    retry_policy=RETRIES,
    group_name="models",
    deps=["trained_model", "training_shards"],
    kinds={"torch", "mlflow"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "Scores on held-out rows, and the gate: the candidate against the serving champion on "
        "the same rows, paired, slice by slice."
    ),
    check_specs=[
        check("model_evaluation", "min_accuracy", "Better than the floor and the largest class."),
        check("model_evaluation", "gate", "Better than the champion, and worse on no slice."),
    ],
)
def model_evaluation(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Evaluate a candidate and judge it."""
    settings = platform.settings
    tracking = _tracking(platform)
    pinned = champion_pin(platform.store, tracking, settings.release.model_name)
    step = Step(
        "models", ("model_evaluation",), pinned=pinned,
        inputs={"trained_model": "one", "training_shards": "one"},
        config=settings.gate.model_dump(mode="json"), threads=settings.training.threads,
    )

    def build(work: Workspace) -> None:
        from mlops_assets.models.evaluation import build_evaluation
        from mlops_assets.models.tracking import log_summary

        build_evaluation(settings.gate, work, threads=settings.training.threads)
        run_id = work.input_summary("trained_model").values["mlflow_run_id"]
        log_summary(tracking.client(), str(run_id), work.summary("model_evaluation"), prefix="test")

    yield from materialize(context, platform, step, build)


@dg.asset(
    group_name="models",
    deps=["trained_model", "training_shards", "model_evaluation"],
    kinds={"onnx"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "The model as one ONNX program with its preprocessing inside, its card, golden answers "
        "and the answers on held-out rows that production is compared with."
    ),
    check_specs=[check("exported_model", "parity", "Answers as torch eager does.")],
)
def exported_model(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Export and compare with eager."""
    settings = platform.settings
    pixels, release, threads = settings.dataset.pixels, settings.release, settings.training.threads
    rows = settings.export.calibration_rows if settings.export.int8 else None
    step = Step(
        "models", ("exported_model",),
        inputs={"trained_model": "one", "training_shards": "one", "model_evaluation": "one"},
        config={"pixels": pixels.model_dump(mode="json"), "name": release.model_name,
                "max_parity_error": settings.gate.max_parity_error, "calibration_rows": rows},
        threads=threads,
    )

    def build(work: Workspace) -> None:
        from mlops_assets.models.export import build_export

        build_export(
            pixels, release.model_name, settings.gate.max_parity_error, make_origin(work),
            read_scores(work.read("model_evaluation")), work, threads=threads,
            calibration_rows=rows,
        )

    yield from materialize(context, platform, step, build)


@dg.asset(
    retry_policy=RETRIES,
    group_name="models",
    deps=["exported_model", "model_evaluation"],
    kinds={"mlflow"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_BYTES,
    description="The exported model as a version in MLflow's registry, with its aliases.",
)
def registered_model(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Register an exported model that passed the gate, as `challenger`."""
    name = platform.settings.release.model_name
    tracking = _tracking(platform)
    step = Step("models", ("registered_model",), inputs={"exported_model": "one"},
                config={"name": name})

    yield from materialize(
        context, platform, step, lambda work: write_registration(work, tracking, name),
        finalize=lambda result: offer_as_challenger(platform.store, result.ref, tracking, name),
    )
