"""How each batch differs from all others, when they are merged.

By the largest Kolmogorov-Smirnov distance of what the manifest knows of every image, and by the
total variation of the classes. A batch of another camera, size or subject shows here before a model
learns from it.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from mlops_assets.contracts.manifest import FEEDBACK_PREFIX
from mlops_assets.contracts.summary import Summary

# Of fewer images the distance says mostly how few they are.
LEAST: Final = 50
COLUMNS: Final = {
    "brightness": pl.col("mean"), "contrast": pl.col("std"),
    "pixels": pl.col("width") * pl.col("height"),
    "shape": pl.col("width") / pl.col("height"),
    "bytes a pixel": pl.col("bytes") / (pl.col("width") * pl.col("height")),
}


def compare_batches(manifests: pl.DataFrame) -> list[dict[str, Any]]:
    """A row for each batch of ``LEAST`` images or more, the most different first.

    ``distance`` (0 to 1) is that of ``column``, ``classes`` the total variation of the labels.
    """
    from scipy.stats import ks_2samp

    frame = manifests.select("batch", "label", **COLUMNS)
    rows = []
    for batch in frame["batch"].unique(maintain_order=True).to_list():
        mine, others = frame.filter(batch=batch), frame.filter(pl.col("batch") != batch)
        if min(mine.height, others.height) < LEAST:
            continue
        distances = {name: float(ks_2samp(mine[name], others[name]).statistic) for name in COLUMNS}
        farthest = max(distances, key=distances.__getitem__)
        rows.append({"batch": batch, "images": mine.height, "distance": distances[farthest],
                     "column": farthest, "classes": _variation(mine, others)})
    return sorted(rows, key=lambda row: -float(row["distance"]))


def _variation(mine: pl.DataFrame, others: pl.DataFrame) -> float:
    shares = [frame["label"].value_counts(normalize=True) for frame in (mine, others)]
    both = shares[0].join(shares[1], on="label", how="full", coalesce=True).fill_null(0.0)
    return float((both["proportion"] - both["proportion_right"]).abs().sum() / 2)


def check_batches(summary: Summary, manifests: pl.DataFrame, limit: float) -> None:
    """Show the distances; a batch beyond the limit fails a check that stops nothing.

    Production's own images are what drift brought, and are shown only.
    """
    rows = compare_batches(manifests)
    summary.tables["batch_distances"] = rows
    strange = [row for row in rows if float(row["distance"]) > limit
               and not str(row["batch"]).startswith(FEEDBACK_PREFIX)]
    said = "; ".join(f"{row['batch']}: {row['column']} {row['distance']:.2f}, classes "
                     f"{row['classes']:.2f}" for row in strange)
    summary.check("batches_alike", passed=not strange, blocking=False, limit=limit,
                  description=f"differ from the other batches: {said}" if strange
                  else "no batch differs from the others beyond the limit")
