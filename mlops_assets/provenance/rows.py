"""The Merkle leaves of a table: a header that binds what stands beside the rows, then the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from mlops_assets.provenance.hashing import canonical_json

HEADER_FILE: Final = "header.json"
FORMAT: Final = "dataset-v1"


def make_header(classes: Sequence[str], rows: int, beside: Mapping[str, str]) -> bytes:
    """The first leaf: classes in their order, the number of rows, and the other files' hashes.

    The number of rows is bound here, as an RFC 6962 root alone does not bind the tree's size.
    """
    return canonical_json({
        "format": FORMAT, "classes": list(classes), "rows": rows, "files": dict(beside)
    })


def row_leaves(header: bytes, rows: Iterable[Mapping[str, str]]) -> list[bytes]:
    """The header, then the canonical JSON of each row."""
    return [header, *(canonical_json(dict(row)) for row in rows)]
