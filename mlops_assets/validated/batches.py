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

    ``distance`` (0 to 1) is that of ``column``, ``classes`` the total variation of the labels. Time
    grows with rows times their logarithm, however many batches there are.
    """
    total = manifests.height
    frame = manifests.select("batch", **COLUMNS)
    distances = {name: _distances(frame.select("batch", value=name)) for name in COLUMNS}
    classes = _variations(manifests.select("batch", "label"))
    rows = []
    for batch, images in manifests["batch"].value_counts().sort("batch").iter_rows():
        if min(images, total - images) < LEAST:
            continue
        farthest = max(COLUMNS, key=lambda name: distances[name][batch])
        rows.append({"batch": batch, "images": images, "distance": distances[farthest][batch],
                     "column": farthest, "classes": classes[batch]})
    return sorted(rows, key=lambda row: -float(row["distance"]))


def _distances(frame: pl.DataFrame) -> dict[str, float]:
    """The Kolmogorov-Smirnov distance of each batch's values from those of all other batches.

    Of ``n`` out of ``N`` rows it is N / (N - n) times the distance from all rows, which is reached
    at one of the batch's values or just below one.
    """
    total, rank = pl.len(), pl.col("value").rank("max").cast(pl.Int64)
    ranked = frame.with_columns(
        upto=rank / total, below=(pl.col("value").rank("min").cast(pl.Int64) - 1) / total)
    size, of_batch = pl.len().over("batch"), pl.col("value")
    steps = ranked.with_columns(
        upto_batch=of_batch.rank("max").over("batch") / size,
        below_batch=(of_batch.rank("min").over("batch").cast(pl.Int64) - 1) / size)
    above = (pl.col("upto_batch") - pl.col("upto")).max()
    under = (pl.col("below") - pl.col("below_batch")).max()
    found = steps.group_by("batch").agg(
        farthest=pl.max_horizontal(above, under), images=pl.len())
    return {batch: farthest * frame.height / (frame.height - images)
            for batch, farthest, images in found.iter_rows() if images < frame.height}


def _variations(frame: pl.DataFrame) -> dict[str, float]:
    """Total variation of each batch's labels from those of all other batches."""
    counts = frame.group_by("batch", "label").len("mine")
    sizes = frame.group_by("batch").len("images")
    labels = frame.group_by("label").len("all")
    found = (
        counts.join(labels, on="label").join(sizes, on="batch")
        .with_columns(mine=pl.col("mine") / pl.col("images"),
                      others=(pl.col("all") - pl.col("mine")) / (frame.height - pl.col("images")))
        # What a batch has more of than others; it has as much less of all else.
        .group_by("batch").agg((pl.col("mine") - pl.col("others")).clip(lower_bound=0).sum()))
    return dict(found.iter_rows())


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
