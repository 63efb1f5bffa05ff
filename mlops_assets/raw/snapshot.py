"""A snapshot: the images of one batch as Parquet shards that hold the encoded bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.manifest import CLASSES_FILE, SNAPSHOT_SCHEMA
from mlops_assets.provenance.hashing import canonical_json, sha256_bytes
from mlops_assets.raw.sources import RawImage

SHARD_BYTES: Final = 256 << 20
ROW_GROUP_ROWS: Final = 4096
ROW_GROUP_BYTES: Final = 16 << 20


class EmptySource(PlatformError):
    """A source without a single image."""


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """Counts of a written snapshot; ``per_class`` maps each label to its images."""

    images: int
    bytes: int
    shards: int
    per_class: dict[str, int]


class _Group:
    """Rows that are written together."""

    def __init__(self) -> None:
        self.columns: dict[str, list[str]] = {
            name: [] for name in SNAPSHOT_SCHEMA.names if name not in ("image_id", "content")}
        self.contents: list[bytes] = []
        self.bytes = 0

    def add(self, image: RawImage) -> None:
        for name, column in self.columns.items():
            column.append(getattr(image, name))
        self.contents.append(image.content)
        self.bytes += len(image.content)

    def table(self) -> pa.Table:
        ends = np.cumsum([0, *map(len, self.contents)]).astype(np.int32)
        # A builder would copy the bytes again each time that it grows.
        joined = pa.Array.from_buffers(pa.binary(), len(self.contents), [
            None, pa.py_buffer(ends), pa.py_buffer(b"".join(self.contents))])
        return pa.table({"image_id": [*map(sha256_bytes, self.contents)], **self.columns,
                         "content": joined}, schema=SNAPSHOT_SCHEMA)


class _Shards:
    """Hashes and writes row groups, and begins a new file when the current one is full.

    One group is written by a thread of its own, while the next is collected.
    """

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.count, self.room = 0, 0
        self.writer: pq.ParquetWriter | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self.writing: Future[None] | None = None

    def write(self, group: _Group) -> None:
        self.wait()
        self.writing = self.thread.submit(self._write, group)

    def wait(self) -> None:
        """Until what was given is written, or has failed."""
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.result()

    def close(self) -> None:
        self.thread.shutdown()
        self._end_file()

    def _write(self, group: _Group) -> None:
        if self.writer is None or self.room < group.bytes:
            self._end_file()
            path = self.folder / f"images-{self.count:05d}.parquet"
            self.writer = pq.ParquetWriter(path, SNAPSHOT_SCHEMA, compression="none",
                                           use_dictionary=["label", "origin_split"])
            self.count, self.room = self.count + 1, self.shard_bytes
        self.writer.write_table(group.table())
        self.room -= group.bytes

    def _end_file(self) -> None:
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
    shards, group = _Shards(folder, shard_bytes), _Group()
    most = min(shard_bytes, ROW_GROUP_BYTES)
    per_class: dict[str, int] = {}
    total = count = 0
    try:
        for image in images:
            group.add(image)
            per_class[image.label] = per_class.get(image.label, 0) + 1
            total, count = total + len(image.content), count + 1
            if len(group.contents) == ROW_GROUP_ROWS or group.bytes >= most:
                shards.write(group)
                group = _Group()
        if group.contents:
            shards.write(group)
        shards.wait()
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
