"""Arrow schemas of the rows that pass between the raw, validated and features groups."""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa

THUMBNAIL_SIDE: Final = 16
CLASSES_FILE: Final = "classes.json"
MANIFEST_FILE: Final = "manifest.parquet"
QUARANTINE_FILE: Final = "quarantine.parquet"
ISSUES_FILE: Final = "issues.parquet"
HASHES_FILE: Final = "hashes.parquet"
ROWS_FILE: Final = "rows.parquet"
# Batches that come from production, as images with labels that came later.
FEEDBACK_PREFIX: Final = "feedback-"

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

Reason = Literal[
    "zero-bytes",
    "not-an-image",
    "truncated",
    "wrong-extension",
    "too-small",
    "too-large",
    "unsupported-mode",
    "animated",
    "blank",
    "unknown-class",
    "duplicate",
    "duplicate-across-splits",
    "conflicting-labels",
]

# `origin_split` is the source's own part ("train", "test") or "" where the source has none.
SNAPSHOT_SCHEMA: Final = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("origin_split", pa.string(), nullable=False),
    pa.field("content", pa.binary(), nullable=False),
])

# `mean` and `std` are over all pixel values, 0-255; `thumbnail` is 16x16 grey uint8, row by row.
MANIFEST_SCHEMA: Final = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("origin_split", pa.string(), nullable=False),
    pa.field("format", pa.string(), nullable=False),
    pa.field("mode", pa.string(), nullable=False),
    pa.field("width", pa.int32(), nullable=False),
    pa.field("height", pa.int32(), nullable=False),
    pa.field("bytes", pa.int64(), nullable=False),
    pa.field("mean", pa.float32(), nullable=False),
    pa.field("std", pa.float32(), nullable=False),
    pa.field("thumbnail", pa.binary(THUMBNAIL_SIDE**2), nullable=False),
])

# Perceptual hashes in the order of the manifest's rows; null of an image that is nearly constant.
HASH_SCHEMA: Final = pa.schema([pa.field("phash", pa.uint64())])

# A quarantined image keeps its bytes, so that a person can look at it and put it back.
QUARANTINE_SCHEMA: Final = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
    pa.field("detail", pa.string(), nullable=False),
    pa.field("content", pa.binary(), nullable=False),
])

# Something odd about a good image, for a person to look at.
ISSUE_SCHEMA: Final = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),
    pa.field("detail", pa.string(), nullable=False),
])

# One row of the dataset; its Merkle leaf is the canonical JSON of these five values.
ROW_SCHEMA: Final = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
    pa.field("batch", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),
])
