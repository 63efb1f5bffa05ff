"""Where a model came from, who serves now, and what the registry is told."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_assets.contracts.files import EVALUATION_FILE, REGISTRATION_FILE
from mlops_assets.contracts.model_card import ModelCard, ModelOrigin, read_card
from mlops_assets.models.tracking import ARCHIVE_PATH, log_archive
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.provenance.record import InputRef
from resources.mlflow import CHALLENGER, CHAMPION, PROGRAM_TAG, RegisteredVersion, Tracking
from resources.steps import Workspace, find_ancestors
from resources.store import ArtifactStore

CHAMPION_INPUT = "champion"


def champion_pin(store: ArtifactStore, tracking: Tracking, name: str) -> dict[str, InputRef]:
    """The serving champion's exported model as a pinned input; empty when there is none.

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
    return {CHAMPION_INPUT: exported}


def _first_judgement(store: ArtifactStore, exported: InputRef) -> dict[str, InputRef]:
    """The champion that a model was judged against when it became one itself."""
    evaluations = find_ancestors(store, "model_evaluation", [exported])
    record = store.verify(evaluations[0])
    judged = [ref for ref in record.inputs if ref.asset == "exported_model"]
    return {CHAMPION_INPUT: judged[0]} if judged else {}


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
