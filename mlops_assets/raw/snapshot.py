"""A snapshot: the images of one batch as Parquet shards that hold the encoded bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.manifest import CLASSES_FILE, SNAPSHOT_SCHEMA
from mlops_assets.provenance.hashing import canonical_json, sha256_bytes
from mlops_assets.raw.sources import RawImage

SHARD_BYTES: Final = 256 << 20
ROW_GROUP_ROWS: Final = 4096


class EmptySource(PlatformError):
    """A source without a single image."""


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """Counts of a written snapshot; ``per_class`` maps each label to its images."""

    images: int
    bytes: int
    shards: int
    per_class: dict[str, int]


class _Shards:
    """Writes row groups, and begins a new file when the current one is full."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.count, self.room = 0, 0
        self.writer: pq.ParquetWriter | None = None

    def write(self, rows: list[dict[str, object]], size: int) -> None:
        if self.writer is None or self.room < size:
            self.close()
            path = self.folder / f"images-{self.count:05d}.parquet"
            self.writer = pq.ParquetWriter(path, SNAPSHOT_SCHEMA, compression="none",
                                           use_dictionary=["label", "origin_split"])
            self.count, self.room = self.count + 1, self.shard_bytes
        self.writer.write_table(pa.Table.from_pylist(rows, schema=SNAPSHOT_SCHEMA))
        self.room -= size

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def write_snapshot(
    folder: Path, images: Iterable[RawImage], classes: tuple[str, ...],
    *, shard_bytes: int = SHARD_BYTES,
) -> SnapshotFacts:
    """Write a snapshot; equal images in equal order give equal bytes.

    Raises:
        EmptySource: there is no image.
    """
    shards, held = _Shards(folder, shard_bytes), 0
    rows: list[dict[str, object]] = []
    per_class: dict[str, int] = {}
    total = count = 0
    try:
        for image in images:
            rows.append({
                "image_id": sha256_bytes(image.content), "source": image.source,
                "label": image.label, "origin_split": image.origin_split,
                "content": image.content,
            })
            per_class[image.label] = per_class.get(image.label, 0) + 1
            held, total, count = held + len(image.content), total + len(image.content), count + 1
            if len(rows) == ROW_GROUP_ROWS or held >= shard_bytes:
                shards.write(rows, held)
                rows, held = [], 0
        if rows:
            shards.write(rows, held)
    finally:
        shards.close()
    if not count:
        raise EmptySource("the source has no image; see configs/dataset.yaml")
    (folder / CLASSES_FILE).write_bytes(canonical_json(list(classes)))
    return SnapshotFacts(count, total, shards.count, per_class)


def read_batches(folder: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Record batches of ``SNAPSHOT_SCHEMA`` (or some of its columns), in the written order."""
    for path in sorted(folder.glob("images-*.parquet")):
        with pq.ParquetFile(path, memory_map=True) as file:
            yield from file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=columns)
