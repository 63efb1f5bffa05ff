"""Features of images as they were known at a time, from immutable Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.contracts.image_features import ENTITY, HISTORY_SCHEMA, LAST_CLASSES, TIME
from mlops_assets.provenance.hashing import sha256_json
from mlops_assets.provenance.record import InputRef, ProvenanceRecord, read_record
from resources.durable import write_bytes
from resources.store import ArtifactStore

ANSWERS: Final = {"image_sha256": ENTITY, "at": TIME, "label": "predicted_class"}
STATE: Final = [ENTITY, "answers", "last_classes"]


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of ``prediction_log``: its partition key, version and file."""

    key: str
    version: str
    path: Path


def historical(files: Sequence[Path], ids: Sequence[str], as_of: datetime | None) -> pa.Table:
    """The latest row of each image that was known at ``as_of``; None: of all rows.

    A row of that very time is seen, a later one is not.

    Args:
        files: Parquet with ``image_id`` and ``event_timestamp``; of rows of one time the one of
            the later file counts.
        ids: ``[N]``, each once.
        as_of: with a time zone.

    Returns:
        ``[N]`` rows in the order of ``ids``; of an unknown image everything but its id is null.
    """
    wanted = pl.DataFrame({ENTITY: list(ids)}, schema={ENTITY: pl.String})
    found = pl.scan_parquet([*files]).join(wanted.lazy(), on=ENTITY, how="semi")
    if as_of is not None:
        found = found.filter(pl.col(TIME) <= as_of)
    # Which row is the latest is told by two columns; the embeddings of others are not sorted.
    latest = found.collect().with_row_index("row").sort(TIME, "row").unique(
        ENTITY, keep="last").drop("row")
    joined = wanted.join(latest, on=ENTITY, how="left", maintain_order="left")
    return joined.to_arrow(compat_level=pl.CompatLevel.oldest())


def latest_of(
    new: Sequence[Path], every: Sequence[Path], rows: int
) -> Iterator[pa.Table]:
    """The latest rows of the images in the ``new`` files, at most ``rows`` at a time.

    An image may stand in a later file too, so that ``every`` file is asked for ids and times, as in
    ``historical``; other columns are read once, of the files that hold a latest row.
    """
    wanted = pl.scan_parquet([*new]).select(ENTITY).unique()
    stamps = pl.scan_parquet([*every], row_index_name="row").select(ENTITY, TIME, "row")
    latest = (stamps.join(wanted, on=ENTITY, how="semi").collect()
              .sort(TIME, "row").unique(ENTITY, keep="last")["row"].sort().to_numpy())
    start = 0
    for path in every:
        end = start + pq.read_metadata(path).num_rows
        if np.searchsorted(latest, start) < np.searchsorted(latest, end):
            for batch in pq.ParquetFile(path).iter_batches(rows):
                first, last = np.searchsorted(latest, (start, start + batch.num_rows))
                if first < last:
                    yield pa.table(batch.take(pa.array(latest[first:last] - start)))
                start += batch.num_rows
        start = end


def made_at(store: ArtifactStore, ref: InputRef) -> datetime:
    """When a version was made the last time.

    A step may make the same bytes of newer inputs. The record beside them is then of the first
    time, and that of the last is among the asset's records.
    """
    folder = store.root / ref.asset / "records"
    # Only those that name the version are read as records.
    contents = (path.read_bytes() for path in folder.glob("*.json"))
    records = [ProvenanceRecord.from_bytes(content) for content in contents
               if ref.version.encode() in content]
    times = [record.created_at for record in records if record.version == ref.version]
    return max([read_record(store.path(ref)).created_at, *times])


def write_history(hours: Iterable[Hour], folder: Path) -> list[Path]:
    """A file of ``HISTORY_SCHEMA`` for each hour, oldest first; what was written before stays.

    A file's name holds the hash of its hour and of all before it, as its counts go on from theirs.
    Files of hours that have another content by now are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    chain = ""
    for hour in sorted(hours, key=lambda each: each.key):
        chain = sha256_json([chain, hour.key, hour.version])
        path = folder / f"{hour.key.replace(':', '')}-{chain}.parquet"
        if not path.is_file():
            write_bytes(path, _to_bytes(_continue(hour, made)))
        made.append(path)
    for path in set(folder.glob("*.parquet")) - {*made}:
        path.unlink()
    return made


def _continue(hour: Hour, earlier: Sequence[Path]) -> pa.Table:
    """Rows of an hour, whose counts go on from the earlier files."""
    answers = (
        pl.scan_parquet(hour.path).filter(pl.col("slot") != "shadow")
        .sort("at", "prediction_id").rename(ANSWERS)
        .select(ENTITY, TIME, "predicted_class", "confidence", "model_version").collect())
    states: dict[str, tuple[int, list[str]]] = {}
    if earlier and answers.height:
        before = historical(earlier, answers[ENTITY].unique().to_list(), None)
        states = {each[ENTITY]: (each["answers"], each["last_classes"])
                  for each in before.select(STATE).to_pylist() if each["answers"] is not None}
    counts, classes = [], []
    for image, name in answers.select(ENTITY, "predicted_class").iter_rows():
        count, last = states.get(image, (0, []))
        states[image] = count + 1, [*last, name][-LAST_CLASSES:]
        counts.append(count + 1)
        classes.append(states[image][1])
    told = answers.with_columns(answers=pl.Series(counts, dtype=pl.Int64),
                                last_classes=pl.Series(classes, dtype=pl.List(pl.String)))
    table: pa.Table = told.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(HISTORY_SCHEMA)
    return table


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
