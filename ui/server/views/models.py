"""Models with their evaluations."""

from __future__ import annotations

from typing import Any

from mlops_assets.lineage.graph import Graph
from ui.server import schemas
from ui.server.sources.store import Model, confusion, history
from ui.server.world import World


def models(world: World) -> list[schemas.ModelRow]:
    """All of them, newest first."""
    return [schemas.ModelRow(**_row(world, each)) for each in reversed(world.store.value.models)]


def model(world: World, version: str) -> schemas.ModelDetail | None:
    """One model, by its version or short name."""
    store = world.store.value
    found = store.model(version)
    if found is None or store.graph is None:
        return None
    evaluation, origin = found.evaluation, found.card.origin
    gate: dict[str, Any] = evaluation.get("gate", {})
    where = world.console.addresses
    return schemas.ModelDetail(
        **_row(world, found), gate_reason=str(gate.get("reason", "")), dataset=origin.dataset,
        commit=origin.code_commit,
        dagster_url=f"{where.dagster_page}/runs/{origin.dagster_run_id}"
        if where.dagster_page else "",
        classes=found.card.classes, confusion=confusion(store.graph, found.trained),
        scores=[schemas.ClassScore(**raw) for raw in evaluation.get("classes", ())],
        reliability=_reliability(evaluation.get("calibration", {})),
        slices=[_slice(raw) for raw in gate.get("slices", ())],
        history=_epochs(store.graph, found))


def _row(world: World, found: Model) -> dict[str, Any]:
    slots = {each.model_version: slot
             for slot, each in world.ledger.value.state.slots.items()}
    scores: dict[str, Any] = found.evaluation.get("scores", {})
    mlflow = world.console.addresses.mlflow_page
    return {
        "version": found.card.version, "label": found.label, "bento_tag": found.bento_tag,
        "architecture": found.card.architecture, "slot": slots.get(found.card.version, ""),
        "gate": str(found.evaluation.get("gate", {}).get("decision", "")),
        "created_at": found.created_at, "accuracy": scores.get("accuracy"),
        "macro_f1": scores.get("macro_f1"), "ece": scores.get("ece"),
        "size_mb": found.size / 1e6,
        "mlflow_url": f"{mlflow}/#/runs/{found.card.origin.mlflow_run_id}" if mlflow else "",
    }


def _reliability(raw: dict[str, Any]) -> list[schemas.ReliabilityBin]:
    if not raw:
        return []
    return [schemas.ReliabilityBin(confidence=confidence, accuracy=accuracy, rows=rows)
            for confidence, accuracy, rows in
            zip(raw["confidence"], raw["accuracy"], raw["rows"], strict=True) if rows]


def _slice(raw: dict[str, Any]) -> schemas.GateSlice:
    return schemas.GateSlice(
        name=raw["slice"], rows=raw["rows"], candidate=raw["candidate"],
        champion=raw["champion"], difference=raw["difference"], lower=raw["lower"],
        upper=raw["upper"], verdict=raw["verdict"])


def _epochs(graph: Graph, found: Model) -> list[schemas.Epoch]:
    return [schemas.Epoch(
        epoch=int(raw.get("epoch", number)), training_loss=raw.get("loss"),
        validation_loss=raw.get("validation_loss"),
        validation_accuracy=raw.get("accuracy"))
        for number, raw in enumerate(history(graph, found.trained), start=1)]
