"""Where a model came from, who serves now, and what the registry is told."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_assets.contracts.model_card import CARD_FILE, ModelCard, ModelOrigin
from mlops_assets.models.tracking import ARCHIVE_PATH, log_archive
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.provenance.record import InputRef
from resources.mlflow import CHAMPION, PROGRAM_TAG, Tracking
from resources.steps import Workspace, find_ancestors
from resources.store import ArtifactStore

REGISTRATION_FILE = "registration.json"
EVALUATION_FILE = "evaluation.json"
CHAMPION_INPUT = "champion"


def archive_path() -> str:
    """Artifact path of a model's archive in its MLflow run."""
    return ARCHIVE_PATH


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


def write_registration(work: Workspace, tracking: Tracking, name: str) -> None:
    """Upload the exported model as one archive, and fill ``registered_model``."""
    folder = work.read("exported_model")
    card = ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
    run_id = card.origin.mlflow_run_id
    exported = work.pins["exported_model"][0].version
    path = log_archive(tracking.client(), run_id, folder)
    version = tracking.register(
        name, exported_model=exported, run_id=run_id, artifact_path=path,
        tags={PROGRAM_TAG: card.program_sha256},
    )
    facts = {"name": name, "registry_version": version.version, "exported_model": exported,
             "program_sha256": card.program_sha256, "mlflow_run_id": run_id}
    (work.out("registered_model") / REGISTRATION_FILE).write_bytes(canonical_json(facts))
    work.summary("registered_model").values |= facts
