"""Build of ``prediction_log`` and ``feedback_labels``: one hour of the journal as Parquet."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
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

VECTOR: Final = pa.list_(pa.field("element", pa.float32(), nullable=False))
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
    pa.field("probabilities", VECTOR, nullable=False),
    pa.field("embedding", VECTOR, nullable=False),
])
# Of numbers that repeat in nothing, compression saves a twelfth and doubles the time of reading.
CODECS: Final = {"probabilities.list.element": "none", "embedding.list.element": "none"} | {
    column.name: "zstd" for column in PREDICTION_SCHEMA if column.type != VECTOR}
REPEATED: Final = ["label", "model_version", "slot", "bento_tag"]
CHUNK_ROWS: Final = 8192

LABEL_SCHEMA: Final = pa.schema([
    pa.field("prediction_id", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
])


def hash_labels(records: Sequence[FeedbackRecord]) -> str:
    """A hash of the journal's labels, which stand for the journal as an input."""
    return sha256_json([record.model_dump(mode="json") for record in records])


def build_prediction_log(records: Iterable[PredictionRecord], work: Workspace) -> None:
    """Fill ``prediction_log``, one row a prediction, in their order, which is that of their ids.

    Only ``CHUNK_ROWS`` records are held at once.
    """
    path, told = work.out("prediction_log") / PREDICTIONS_FILE, _Told()
    left = iter(records)
    with pq.ParquetWriter(path, PREDICTION_SCHEMA, compression=CODECS,
                          use_dictionary=REPEATED) as writer:
        while chunk := list(islice(left, CHUNK_ROWS)):
            rows = [_prediction_row(record) for record in chunk]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=PREDICTION_SCHEMA))
            told.add(chunk)
    told.describe(work.summary("prediction_log"))


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


@dataclass(slots=True)
class _Told:
    """What is told of predictions that come in the order of their ids."""

    rows: int = 0
    repeated: int = 0
    confidence: float = 0.0
    last: str = ""
    latencies: array[float] = field(default_factory=lambda: array("f"))
    labels: Counter[str] = field(default_factory=Counter)
    models: set[str] = field(default_factory=set)

    def add(self, records: Sequence[PredictionRecord]) -> None:
        """Count these too."""
        for record in records:
            answer = record.answer
            self.rows += 1
            self.repeated += answer.prediction_id == self.last
            self.last = answer.prediction_id
            self.confidence += answer.confidence
            self.latencies.append(answer.latency_ms)
            self.labels[answer.label] += 1
            self.models.add(answer.model.version)

    def describe(self, summary: Summary) -> None:
        """Figures, a picture and the check."""
        summary.values |= {"rows": self.rows}
        if self.rows:
            latencies = sorted(self.latencies)
            summary.values |= {
                "models": len(self.models), "mean_confidence": self.confidence / self.rows,
                "p95_latency_ms": latencies[int(0.95 * (self.rows - 1))],
            }
            names = sorted(self.labels)
            summary.add_picture("answers", bars(
                "Answers by class", names,
                {"answers": [float(self.labels[name]) for name in names]}))
        summary.check("unique_ids", passed=not self.repeated, rows=self.rows,
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
