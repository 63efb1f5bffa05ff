"""Rows of ``prediction_log`` and ``feedback_labels``, hour by hour, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.contracts.files import LABELS_FILE, PREDICTIONS_FILE
from mlops_assets.contracts.image_statistics import TEXTURE
from mlops_assets.monitoring.logs import LABEL_SCHEMA, PREDICTION_SCHEMA
from resources.steps import Workspace

BATCH_ROWS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of ``prediction_log``: its partition key, version and file."""

    key: str
    version: str
    path: Path


def list_hours(work: Workspace) -> list[Hour]:
    """The pinned hours, oldest first."""
    folders = work.read_every("prediction_log")
    return sorted((Hour(str(ref.partition), ref.version,
                        folders[str(ref.partition)] / PREDICTIONS_FILE)
                   for ref in work.pins["prediction_log"]), key=lambda hour: hour.key)


def read_answers(hour: Hour, model_version: str, slots: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Predictions of one model in some slots, in order of time.

    Rows of before the log had the statistics of images are left out.
    """
    for frame in _batches(hour.path, PREDICTION_SCHEMA):
        kept = frame.filter(
            pl.col("model_version") == model_version, pl.col("slot").is_in(list(slots)),
            *(pl.col(name).is_not_null() for name in TEXTURE))
        if kept.height:
            yield kept


def latest_answers(hours: Sequence[Hour], model_version: str, rows: int) -> pl.DataFrame:
    """The last predictions of a model as champion or challenger."""
    found: list[pl.DataFrame] = []
    for hour in reversed(hours):
        missing = rows - sum(frame.height for frame in found)
        if missing <= 0:
            break
        parts = list(read_answers(hour, model_version, ("champion", "challenger")))
        found[:0] = [pl.concat(parts).tail(missing)] if parts else []
    return pl.concat([_empty(PREDICTION_SCHEMA), *found])


def read_verdicts(hours: Sequence[Hour]) -> pl.DataFrame:
    """All answers, less what a shadow computed: the columns that say who answered what."""
    names = ["prediction_id", "label", "model_version", "slot", "image_sha256", "image_kept"]
    schema = pa.schema([PREDICTION_SCHEMA.field(name) for name in names])
    frames = (pl.DataFrame(pl.from_arrow(pq.read_table(hour.path, columns=names)))
              for hour in hours)
    return pl.concat([_empty(schema), *frames]).filter(pl.col("slot") != "shadow")


def read_labels(work: Workspace) -> pl.DataFrame:
    """The last label of each prediction that has one: its id, ``truth`` and when it came."""
    folders = work.read_every("feedback_labels").values()
    frames = (frame for folder in folders
              for frame in _batches(folder / LABELS_FILE, LABEL_SCHEMA))
    return (pl.concat([_empty(LABEL_SCHEMA), *frames]).sort("at", "label")
            .unique("prediction_id", keep="last", maintain_order=True)
            .select("prediction_id", truth="label", labelled="at"))


def _empty(schema: pa.Schema) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(schema.empty_table()))


def _batches(path: Path, schema: pa.Schema) -> Iterator[pl.DataFrame]:
    """Whole rows of a file; a column that it has not is null."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            columns = [batch[field.name] if field.name in batch.schema.names
                       else pa.nulls(batch.num_rows, field.type) for field in schema]
            table = pa.table(columns, names=schema.names)
            yield pl.DataFrame(pl.from_arrow(table))
