"""The Merkle leaves of a table: a header that binds what stands beside the rows, then the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mlops_assets.contracts.manifest import ROW_SCHEMA, ROWS_FILE
from mlops_assets.provenance.hashing import canonical_json

HEADER_FILE: Final = "header.json"
READ_ROWS: Final = 1 << 16
FORMAT: Final = "dataset-v1"


def make_header(classes: Sequence[str], rows: int, beside: Mapping[str, str]) -> bytes:
    """The first leaf: classes in their order, the number of rows, and the other files' hashes.

    The number of rows is bound here, as an RFC 6962 root alone does not bind the tree's size.
    """
    return canonical_json({
        "format": FORMAT, "classes": list(classes), "rows": rows, "files": dict(beside)
    })


def row_leaves(header: bytes, rows: Iterable[Mapping[str, str]]) -> Iterator[bytes]:
    """The header, then the canonical JSON of each row."""
    yield header
    for row in rows:
        yield canonical_json(dict(row))


def dataset_rows(
    folder: Path, columns: Sequence[str] = ROW_SCHEMA.names
) -> Iterator[dict[str, str]]:
    """Rows of a dataset in their order, or some columns; a part of them is in memory at a time.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: its file is damaged.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / ROWS_FILE) as file:
        for batch in file.iter_batches(READ_ROWS, columns=list(columns)):
            yield from batch.to_pylist()


def dataset_leaves(folder: Path) -> Iterator[bytes]:
    """The Merkle leaves of a dataset, its header first.

    Raises:
        FileNotFoundError: the dataset is not there.
        ValueError: its file is damaged.
    """
    return row_leaves((folder / HEADER_FILE).read_bytes(), dataset_rows(folder))
