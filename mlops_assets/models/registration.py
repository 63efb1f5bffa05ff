"""Where a model came from, who serves now, and what the registry is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mlops_assets.contracts.files import EVALUATION_FILE, REGISTRATION_FILE
from mlops_assets.contracts.manifest import FEEDBACK_PREFIX, ROWS_FILE
from mlops_assets.contracts.model_card import ModelCard, ModelOrigin, read_card
from mlops_assets.features.shards import read_shard
from mlops_assets.models.tracking import ARCHIVE_PATH, log_archive
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.provenance.record import InputRef
from resources.mlflow import CHALLENGER, CHAMPION, PROGRAM_TAG, RegisteredVersion, Tracking
from resources.steps import Workspace, find_ancestors, parent_of
from resources.store import ArtifactStore

CHAMPION_INPUT = "champion"
CHAMPION_SHARDS = "champion_shards"
START_INPUT = "start"


def champion_pin(store: ArtifactStore, tracking: Tracking, name: str) -> dict[str, InputRef]:
    """The serving champion's exported model, and the shards that it learnt from, as pinned inputs.

    Empty when there is none.

    A candidate that is the champion itself has nobody to beat, so it is judged as it was the
    first time.
    """
    champion = tracking.by_alias(name, CHAMPION)
    if champion is None:
        return {}
    exported = InputRef(asset="exported_model", version=champion.exported_model)
    candidate = store.pin("trained_model")
    if candidate in store.verify(exported).inputs:
        return dict(_first_judgement(store, exported))
    return _with_shards(store, exported)


def start_pin(
    store: ArtifactStore, tracking: Tracking, name: str, forgotten: Sequence[str] = ()
) -> dict[str, InputRef]:
    """The champion's weights as a pinned input, where there is something new from production.

    Weights that learnt from a ``forgotten`` image, or went on from such, are no start.

    Shards that a model was trained on already are pinned to what that model went on from, so that
    an unchanged graph stays unchanged when that model has become champion.
    """
    shards = store.pin("training_shards")
    made = store.current("trained_model")
    if made is not None:
        inputs = store.verify(made).inputs
        if shards in inputs:
            before = [ref for ref in inputs if ref.asset == "trained_model"]
            return clean_start(store, before[0], forgotten) if before else {}
    champion = tracking.by_alias(name, CHAMPION)
    batches = set(read_shard(store.path(shards), "train").batches.tolist())
    if champion is None or not any(batch.startswith(FEEDBACK_PREFIX) for batch in batches):
        return {}
    exported = InputRef(asset="exported_model", version=champion.exported_model)
    return clean_start(store, parent_of(store, exported, "trained_model"), forgotten)


def clean_start(
    store: ArtifactStore, trained: InputRef, forgotten: Sequence[str]
) -> dict[str, InputRef]:
    """A trained model as the start of another; nothing when a forgotten image is behind it."""
    gone = set(forgotten)
    for dataset in find_ancestors(store, "dataset", [trained]) if gone else ():
        table = pq.read_table(store.path(dataset) / ROWS_FILE, columns=["image_id"])
        if gone & set(table.column("image_id").to_pylist()):
            return {}
    return {START_INPUT: trained}


def _with_shards(store: ArtifactStore, exported: InputRef) -> dict[str, InputRef]:
    return {CHAMPION_INPUT: exported,
            CHAMPION_SHARDS: parent_of(store, exported, "training_shards")}


def _first_judgement(store: ArtifactStore, exported: InputRef) -> dict[str, InputRef]:
    """The champion that a model was judged against when it became one itself."""
    record = store.verify(parent_of(store, exported, "model_evaluation"))
    judged = [ref for ref in record.inputs if ref.asset == "exported_model"]
    return _with_shards(store, judged[0]) if judged else {}


def make_origin(work: Workspace) -> ModelOrigin:
    """The versions and runs that the pinned trained model came from."""
    trained = work.pins["trained_model"][0]
    record = work.store.verify(trained)
    shards = next(ref for ref in record.inputs if ref.asset == "training_shards")
    (dataset,) = find_ancestors(work.store, "dataset", [shards])
    return ModelOrigin(
        dataset=dataset.version, training_shards=shards.version, trained_model=trained.version,
        code_commit=record.code_commit, config_sha256=record.config_sha256,
        lock_sha256=record.lock_sha256, dagster_run_id=record.dagster_run_id,
        mlflow_run_id=str(work.input_summary("trained_model").values["mlflow_run_id"]),
    )


def read_scores(evaluation: Path) -> dict[str, float]:
    """The scores on the test rows, from a ``model_evaluation`` folder."""
    scores: dict[str, float] = json.loads((evaluation / EVALUATION_FILE).read_bytes())["scores"]
    return scores


def register(
    tracking: Tracking, name: str, exported_model: str, card: ModelCard
) -> RegisteredVersion:
    """The registry's version for an exported model, whose archive is in its MLflow run."""
    return tracking.register(
        name, exported_model=exported_model, run_id=card.origin.mlflow_run_id,
        artifact_path=ARCHIVE_PATH, tags={PROGRAM_TAG: card.program_sha256},
    )


def write_registration(work: Workspace, tracking: Tracking, name: str) -> None:
    """Upload the exported model as one archive, and fill ``registered_model``."""
    folder = work.read("exported_model")
    card = read_card(folder)
    run_id = card.origin.mlflow_run_id
    exported = work.pins["exported_model"][0].version
    log_archive(tracking.client(), run_id, folder)
    version = register(tracking, name, exported, card)
    facts = {"name": name, "registry_version": version.version, "exported_model": exported,
             "program_sha256": card.program_sha256, "mlflow_run_id": run_id}
    (work.out("registered_model") / REGISTRATION_FILE).write_bytes(canonical_json(facts))
    work.summary("registered_model").values |= facts


def offer_as_challenger(
    store: ArtifactStore, registered: InputRef, tracking: Tracking, name: str
) -> None:
    """Give a registered model the alias `challenger`, unless it is the champion; repeatable."""
    facts = json.loads((store.path(registered) / REGISTRATION_FILE).read_bytes())
    exported = InputRef(asset="exported_model", version=facts["exported_model"])
    version = register(tracking, name, exported.version, read_card(store.path(exported)))
    champion = tracking.by_alias(name, CHAMPION)
    if champion is None or champion.exported_model != exported.version:
        tracking.set_alias(version, CHALLENGER)
