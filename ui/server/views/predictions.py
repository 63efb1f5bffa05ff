"""Answers: the latest ones, one of them with its receipt, and those that a label would help."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.contracts.receipt import Receipt
from mlops_assets.lineage.report import make_receipt
from mlops_assets.lineage.subject import Subject, exported_model
from resources.journal import find, journal_folder
from ui.server import schemas
from ui.server.sources.journal import LOW, Row
from ui.server.world import World

QUEUE: Final = 200
NOVEL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which answers are wanted; empty fields want all."""

    label: str = ""
    slot: str = ""
    q: str = ""
    max_confidence: float = 1.0

    def holds(self, row: Row, name: str) -> bool:
        """Whether a row is wanted; ``name`` is its model's short name."""
        return ((not self.label or row.label == self.label)
                and (not self.slot or row.slot == self.slot)
                and row.confidence <= self.max_confidence
                and (not self.q or self.q in (row.label, row.caller, name)
                     or any(key.startswith(self.q) for key in (row.id, row.image, row.version))))


def predictions(
    world: World, wanted: Filter, *, before: str | None, limit: int
) -> schemas.Predictions:
    """Answers that match, newest first."""
    store, rows = world.store.value, world.journal_book.rows
    names = {version: store.label(version) for version in {row.version for row in rows}}
    found = [row for row in rows if wanted.holds(row, names[row.version])]
    end = len(found) if before is None else bisect_left([row.id for row in found], before)
    page = found[max(0, end - limit):end][::-1]
    return schemas.Predictions(
        rows=[schemas.PredictionRow(**_row(world, row)) for row in page], total=len(found),
        held=len(rows), older=page[-1].id if end > limit else None)


def prediction(world: World, prediction_id: str) -> schemas.PredictionDetail | None:
    """One answer with its receipt; None where the journal has none of this id."""
    record = find(journal_folder(world.console.home), prediction_id)
    if record is None:
        return None
    receipt = _receipt(world, record)
    answer = record.answer
    row = Row(
        answer.prediction_id, answer.label, answer.confidence, answer.model.version,
        answer.model.slot, answer.latency_ms, record.novelty, record.image_sha256,
        record.image_kept, record.step, record.bento_tag, answer.probabilities,
        record.caller)
    return schemas.PredictionDetail(
        **_row(world, row), probabilities=answer.probabilities, bento_tag=record.bento_tag,
        program_sha256=answer.model.sha256,
        record_sha256="" if receipt is None else receipt.record_sha256, weight=record.weight,
        revision=record.revision, caller=record.caller, cached=record.cached,
        origin={} if receipt is None else receipt.origin.model_dump(),
        nearest=[] if receipt is None else [
            schemas.NeighbourView(
                image=each.image_id, label=each.label, distance=each.distance,
                proven=each.proof is not None,
                row=None if each.proof is None else each.proof.index)
            for each in receipt.nearest],
        receipt=receipt is not None)


def _receipt(world: World, record: PredictionRecord) -> Receipt | None:
    graph, answer = world.store.value.graph, record.answer
    if graph is None:
        return None
    subject = Subject("prediction", answer.prediction_id,
                      exported_model(graph, answer.model.sha256), record)
    return make_receipt(world.console.home, graph, subject)


def _row(world: World, row: Row) -> dict[str, object]:
    return {
        "id": row.id, "at": datetime.fromtimestamp(row.at, UTC), "label": row.label,
        "confidence": row.confidence, "truth": world.journal_book.truths.get(row.id),
        "model": world.store.value.label(row.version), "version": row.version, "slot": row.slot,
        "latency_ms": row.latency_ms, "novelty": row.novelty, "image": row.image,
        "image_kept": row.kept, "step": row.step,
    }


def queue(world: World) -> schemas.Queue:
    """Kept images without a label, those first that a retraining learns most from."""
    rows, book = list(_open(world)), world.journal_book
    rows.sort(key=lambda row: (-(row.novelty or 0.0) // 1, row.confidence))
    serving = world.ledger.value.state.slots.get("champion")
    done = 0
    if serving is not None:
        done = sum(row.id in book.truths and row.kept for row in book.rows
                   if row.version == serving.model_version)
    store = world.store.value
    classes = store.models[-1].card.classes if store.models else []
    return schemas.Queue(
        rows=[schemas.QueueRow(
            id=row.id, image=row.image, at=datetime.fromtimestamp(row.at, UTC), label=row.label,
            confidence=row.confidence, novelty=row.novelty, probabilities=row.classes,
            why=_why(row)) for row in rows[:QUEUE]],
        classes=classes, open=len(rows), done=done,
        wanted=world.console.settings.drift.min_labels)


def waiting_labels(world: World) -> int:
    """Images of the label queue."""
    return sum(1 for _ in _open(world))


def _open(world: World) -> Iterator[Row]:
    book, images = world.journal_book, set[str]()
    labelled = {row.image for row in book.rows if row.id in book.truths}
    for row in reversed(book.rows):
        if row.kept and row.image not in labelled and row.image not in images:
            images.add(row.image)
            yield row


def _why(row: Row) -> str:
    if row.novelty is not None and row.novelty > NOVEL:
        return "unlike the images that the model was tested on"
    if row.confidence < LOW:
        return "the model was unsure"
    return "kept as a sample"
