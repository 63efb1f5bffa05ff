"""The pandera schema that every manifest row must satisfy."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mlops_assets.config import ValidationSettings
from mlops_assets.contracts.manifest import THUMBNAIL_SIDE
from mlops_assets.validated.inspection import EXTENSIONS, MODES

MAX_FAILURES = 20


def failures(
    manifest: pl.DataFrame, classes: Sequence[str], limits: ValidationSettings
) -> list[dict[str, str]]:
    """Validate a manifest lazily; each failure names column, check and the offending value.

    An empty list means that all rows hold. At most 20 failures are given.
    """
    import pandera.polars as pa
    from pandera.errors import SchemaErrors

    schema = pa.DataFrameSchema(
        {
            "image_id": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$"), unique=True),
            "source": pa.Column(str, pa.Check.str_length(min_value=1)),
            "label": pa.Column(str, pa.Check.isin(list(classes))),
            "origin_split": pa.Column(str, pa.Check.isin(["", "train", "test"])),
            "format": pa.Column(str, pa.Check.isin(sorted(set(EXTENSIONS.values())))),
            "mode": pa.Column(str, pa.Check.isin(sorted(MODES))),
            "width": pa.Column(pl.Int32, pa.Check.ge(limits.min_side)),
            "height": pa.Column(pl.Int32, pa.Check.ge(limits.min_side)),
            "bytes": pa.Column(pl.Int64, pa.Check.gt(0)),
            "mean": pa.Column(pl.Float32, pa.Check.in_range(0, 255)),
            "std": pa.Column(pl.Float32, pa.Check.in_range(limits.blank_std, 127.5)),
            "thumbnail": pa.Column(pl.Binary),
        },
        strict=True,
    )
    found: list[dict[str, str]] = []
    try:
        schema.validate(manifest, lazy=True)
    except SchemaErrors as error:
        found = [
            {"column": str(row.get("column")), "check": str(row.get("check")),
             "value": str(row.get("failure_case"))[:80]}
            for row in error.failure_cases.head(MAX_FAILURES).to_dicts()
        ]
    sizes = manifest.select(pl.col("thumbnail").bin.size().alias("size")).to_series()
    if (sizes != THUMBNAIL_SIDE**2).any():
        found.append({"column": "thumbnail", "check": "16x16 bytes", "value": "another size"})
    return found
