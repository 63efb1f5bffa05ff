"""Thumbnails of manifests as one array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlops_assets.contracts.manifest import MANIFEST_FILE, THUMBNAIL_SIDE

WIDTH: Final = THUMBNAIL_SIDE**2
READ_ROWS: Final = 1 << 17


def read_thumbnails(folders: Sequence[Path]) -> NDArray[np.uint8]:
    """Thumbnails of all manifests, uint8 ``[N, 256]``, in the order of their rows."""
    rows = sum(pq.read_metadata(folder / MANIFEST_FILE).num_rows for folder in folders)
    return _filled(rows, _read(folders))


def thumbnails_of(manifest: pa.Table) -> NDArray[np.uint8]:
    """Thumbnails of a manifest, uint8 ``[N, 256]``."""
    return _filled(manifest.num_rows, manifest.column("thumbnail").chunks)


def _read(folders: Iterable[Path]) -> Iterator[pa.FixedSizeBinaryArray]:
    for folder in folders:
        with pq.ParquetFile(folder / MANIFEST_FILE) as file:
            for batch in file.iter_batches(READ_ROWS, columns=["thumbnail"]):
                yield batch.column(0)


def _filled(rows: int, columns: Iterable[pa.FixedSizeBinaryArray]) -> NDArray[np.uint8]:
    found, at = np.empty((rows, WIDTH), np.uint8), 0
    for column in columns:
        start, size = column.offset * WIDTH, len(column) * WIDTH
        flat = np.frombuffer(column.buffers()[1], np.uint8)[start : start + size]
        found[at : at + len(column)] = flat.reshape(-1, WIDTH)
        at += len(column)
    return found
