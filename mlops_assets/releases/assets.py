"""The releases group: the bento of a model, and the state of serving."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import dagster as dg

from bentos.cpus import cpu_quota
from bentos.openvino_session import is_installed
from mlops_assets.contracts.backends import read_pick
from mlops_assets.present import (
    MODEL_OWNER,
    ON_NEW_BYTES,
    PLATFORM_OWNER,
    RETRIES,
    check,
    materialize,
)
from mlops_assets.releases.bento import SOURCES, build_bento
from mlops_assets.releases.build import (
    bento_home,
    bento_is_whole,
    build_model_bento,
    read_release,
    write_state,
)
from mlops_assets.serving.effect import change
from mlops_assets.serving.states import arrive
from resources.mlflow import Tracking
from resources.platform import Platform
from resources.steps import Step, StepResult, Workspace

MADE_FROM: Final = ("trained_model", "training_shards", "model_evaluation")

Results = Iterator[dg.MaterializeResult[Any]]


@dg.asset(
    group_name="releases",
    deps=["exported_model", "trained_model", "training_shards", "model_evaluation"],
    kinds={"onnx", "openvino", "torch"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "Ways to run the exported model, measured on this host: parity with torch eager, speed, "
        "size, and the accuracy that reduced precision costs. The fastest that may serve is picked."
    ),
    check_specs=[
        check("backend_comparison", "answers_as_torch", "What is picked answers as it may.")],
)
def backend_comparison(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Measure backends over what the exported model was made from."""
    settings, store = platform.settings, platform.store
    exported = store.pin("exported_model")
    parents = {ref.asset: ref for ref in store.verify(exported).inputs}
    step = Step(
        "releases", ("backend_comparison",),
        pinned={"exported_model": exported, **{
            asset: parents[asset] for asset in MADE_FROM}},
        config={"export": settings.export.model_dump(mode="json"),
                "gate": settings.gate.model_dump(mode="json"),
                "precision": settings.release.precision,
                "openvino": is_installed()},
        threads=cpu_quota(), packs=("bentos/sessions.py", "bentos/openvino_session.py"),
    )

    def build(work: Workspace) -> None:
        from mlops_assets.models.backends.compare import build_comparison

        build_comparison(settings.export, settings.gate, settings.release.precision, work,
                         threads=cpu_quota())

    yield from materialize(context, platform, step, build)


@dg.asset(
    group_name="releases",
    deps=["exported_model", "registered_model", "backend_comparison"],
    kinds={"bentoml"},
    owners=[MODEL_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "The model, the backend that was picked for it, and the service as one Bento: "
        "`bentoml serve <tag>` answers `/v1/predict`, "
        "`bentoml containerize <tag>` makes the image."
    ),
    check_specs=[check("model_bento", "holds_the_model", "The program inside is the exported.")],
)
def model_bento(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Build the bento, or see that it is still there."""
    step = Step("releases", ("model_bento",),
                inputs={"exported_model": "one", "registered_model": "one",
                        "backend_comparison": "one"},
                packs=SOURCES)

    def ensure(result: StepResult) -> None:
        if bento_is_whole(platform.store.path(result.ref), platform.root):
            return
        made_from = {ref.asset: platform.store.path(ref) for ref in result.record.inputs}
        build_bento(made_from["exported_model"], bentoml_home=bento_home(platform.root),
                    project_root=platform.project_root,
                    pick=read_pick(made_from["backend_comparison"]))

    yield from materialize(
        context, platform, step,
        lambda work: build_model_bento(work, platform.root, platform.project_root),
        finalize=lambda result: ensure(result) if result.reused else None,
    )


@dg.asset(
    retry_policy=RETRIES,
    group_name="releases",
    deps=["model_bento", "registered_model"],
    kinds={"sqlite"},
    owners=[PLATFORM_OWNER],
    automation_condition=ON_NEW_BYTES,
    description=(
        "The state of serving: which bento is champion, which waits as challenger. The first "
        "model serves at once; a later one waits until it is promoted."
    ),
    check_specs=[check("rollout", "champion_serves", "Some model version is champion.")],
)
def rollout(context: dg.AssetExecutionContext, platform: Platform) -> Results:
    """Give a new bento its place."""
    release_settings = platform.settings.release
    bento = platform.store.pin("model_bento")
    tag, version = read_release(platform.store.path(bento))
    state = change(
        platform.root, Tracking(platform.root, release_settings.experiment),
        release_settings.model_name,
        lambda present, now: arrive(present, tag, version, now=now,
                                    automatic=platform.settings.rollout.automatic),
        actor="rollout", action="release",
        details={"bento_tag": tag, "dagster_run_id": context.run.run_id},
    )
    step = Step("releases", ("rollout",), pinned={"model_bento": bento},
                config={"state": state.model_dump(mode="json")})
    yield from materialize(context, platform, step, partial(write_state, state=state))
