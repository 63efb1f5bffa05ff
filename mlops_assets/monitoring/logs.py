"""Build of ``prediction_log`` and ``feedback_labels``: one hour of the journal as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.contracts.files import LABELS_FILE, PREDICTIONS_FILE
from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.contracts.prediction import FeedbackRecord, PredictionRecord
from mlops_assets.contracts.summary import Summary
from mlops_assets.pictures import bars
from mlops_assets.provenance.hashing import sha256_json
from resources.steps import Workspace

PREDICTION_SCHEMA: Final = pa.schema([
    pa.field("prediction_id", pa.string(), nullable=False),
    pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("confidence", pa.float32(), nullable=False),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("slot", pa.string(), nullable=False),
    pa.field("bento_tag", pa.string(), nullable=False),
    pa.field("image_sha256", pa.string(), nullable=False),
    pa.field("latency_ms", pa.float32(), nullable=False),
    pa.field("cached", pa.bool_(), nullable=False),
    pa.field("image_kept", pa.bool_(), nullable=False),
    pa.field("shadow_of", pa.string()),
    pa.field("revision", pa.int64(), nullable=False),
    pa.field("novelty", pa.float32()),
    *(pa.field(name, pa.float32()) for name in NAMES),
    pa.field("probabilities", pa.list_(pa.float32()), nullable=False),
    pa.field("embedding", pa.list_(pa.float32()), nullable=False),
])

LABEL_SCHEMA: Final = pa.schema([
    pa.field("prediction_id", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
])


def hash_records(records: Sequence[PredictionRecord] | Sequence[FeedbackRecord]) -> str:
    """A hash of journal records, which stand for the journal as an input."""
    return sha256_json([record.model_dump(mode="json") for record in records])


def build_prediction_log(records: Sequence[PredictionRecord], work: Workspace) -> None:
    """Fill ``prediction_log``, one row a prediction, by id."""
    rows = [_prediction_row(record) for record in records]
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    pq.write_table(table, work.out("prediction_log") / PREDICTIONS_FILE, compression="zstd")
    summary = work.summary("prediction_log")
    _describe(summary, records)


def _prediction_row(record: PredictionRecord) -> dict[str, Any]:
    answer = record.answer
    return {
        "prediction_id": answer.prediction_id, "at": record.at, "label": answer.label,
        "confidence": answer.confidence, "model_version": answer.model.version,
        "slot": answer.model.slot, "bento_tag": record.bento_tag,
        "image_sha256": record.image_sha256, "latency_ms": answer.latency_ms,
        "cached": record.cached, "image_kept": record.image_kept,
        "shadow_of": record.shadow_of, "revision": record.revision, "novelty": record.novelty,
        **{name: getattr(record, name) for name in NAMES},
        "probabilities": list(answer.probabilities.values()), "embedding": record.embedding,
    }


def _describe(summary: Summary, records: Sequence[PredictionRecord]) -> None:
    counts: dict[str, int] = {}
    for record in records:
        counts[record.answer.label] = counts.get(record.answer.label, 0) + 1
    ids = {record.answer.prediction_id for record in records}
    summary.values |= {"rows": len(records)}
    if records:
        latencies = sorted(record.answer.latency_ms for record in records)
        summary.values |= {
            "models": len({record.answer.model.version for record in records}),
            "mean_confidence": sum(r.answer.confidence for r in records) / len(records),
            "p95_latency_ms": latencies[int(0.95 * (len(latencies) - 1))],
        }
        names = sorted(counts)
        summary.add_picture("answers", bars(
            "Answers by class", names, {"answers": [float(counts[name]) for name in names]}))
    summary.check("unique_ids", passed=len(ids) == len(records), rows=len(records),
                  description="no prediction id stands twice")


def build_feedback_labels(records: Sequence[FeedbackRecord], work: Workspace) -> None:
    """Fill ``feedback_labels``; of several labels for a prediction the latest stays."""
    latest = {record.prediction_id: record for record in records}
    rows = [
        {"prediction_id": record.prediction_id, "label": record.label, "at": record.at}
        for record in sorted(latest.values(), key=lambda record: record.prediction_id)
    ]
    table = pa.Table.from_pylist(rows, schema=LABEL_SCHEMA)
    pq.write_table(table, work.out("feedback_labels") / LABELS_FILE, compression="zstd")
    work.summary("feedback_labels").values |= {
        "rows": len(rows), "corrected": len(records) - len(rows)}
