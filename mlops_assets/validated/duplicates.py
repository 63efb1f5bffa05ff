"""Duplicates: equal bytes within a batch, and near duplicates across splits."""

from __future__ import annotations

from functools import partial
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.validated.inspection import Fault

BLOCK_ROWS: Final = 2048
# Few enough that the tree stays quick, and many enough that it proposes few that are not near.
AXES: Final = 8
SAMPLED: Final = 20_000


def find_duplicates(images: pl.DataFrame) -> dict[int, Fault]:
    """Row number to fault for every image that must go, of columns id, label and origin split.

    Of equal bytes with one label one copy stays: a test copy if there is one, so that the
    official test part stays whole, else the first. Equal bytes with several labels all go.
    """
    twice = images.select("image_id", "label", "origin_split").with_row_index("row").filter(
        pl.col("image_id").is_duplicated())
    groups: dict[str, list[tuple[int, str, str]]] = {}
    for row, image_id, label, origin in twice.select(
            "row", "image_id", "label", "origin_split").iter_rows():
        groups.setdefault(image_id, []).append((row, label, origin))
    faults: dict[int, Fault] = {}
    for copies in groups.values():
        labels = sorted({label for _, label, _ in copies})
        if len(labels) > 1:
            fault = Fault("conflicting-labels", f"the same bytes are called {', '.join(labels)}")
            faults |= {row: fault for row, _, _ in copies}
            continue
        kept, _, part = next((copy for copy in copies if copy[2] == "test"), copies[0])
        faults |= {
            row: Fault("duplicate-across-splits" if origin != part else "duplicate",
                       f"the same bytes as another image of {part or 'the batch'}")
            for row, _, origin in copies if row != kept}
    return faults


def within(
    thumbnails: NDArray[np.uint8], queries: NDArray[np.int64], references: NDArray[np.int64],
    rms: float,
) -> NDArray[np.bool_]:
    """Whether some reference lies at most ``rms`` grey levels away, for each query.

    Exact: a k-d tree (Bentley 1975) over the thumbnails' principal axes proposes, as a projection
    never lies farther apart than what is projected, and whole thumbnails decide in integers. Time
    grows with rows times their logarithm, where few lie near each other.

    Args:
        thumbnails: ``[N, D]`` uint8.
        queries: ``[Q]`` rows of ``thumbnails``.
        references: ``[R]`` rows of ``thumbnails``.
        rms: root mean square difference a value, in grey levels.

    Returns:
        ``[Q]`` bool.
    """
    found = np.zeros(len(queries), np.bool_)
    if not len(queries) or not len(references):
        return found
    from scipy.spatial import KDTree

    center, axes = _principal_axes(thumbnails[_thinned(references)])
    project = partial(_project, thumbnails, center=center, axes=axes)
    tree = KDTree(project(references), balanced_tree=False, compact_nodes=False)
    limit = rms * rms * thumbnails.shape[1]
    radius = limit**0.5 * (1 + 1e-5) + 1e-2  # the projection is rounded
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS]
        projected = project(block)
        apart, nearest = tree.query(projected, distance_upper_bound=radius, workers=-1)
        near = np.flatnonzero(np.isfinite(apart))
        found[start + near] = _distances(
            thumbnails[block[near]], thumbnails[references[nearest[near]]]) <= limit
        # The nearest of the projections need not be the nearest thumbnail.
        for row in near[~found[start + near]]:
            among = references[tree.query_ball_point(projected[row], radius, return_sorted=False)]
            query = thumbnails[block[row : row + 1]]
            found[start + row] = any(
                (_distances(query, thumbnails[among[at : at + BLOCK_ROWS]]) <= limit).any()
                for at in range(0, len(among), BLOCK_ROWS))
    return found


def _distances(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Squared distances, row by row."""
    gap = some.astype(np.int32) - others
    return np.asarray(np.einsum("ij,ij->i", gap, gap), np.int64)


def _thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most ``SAMPLED`` of the rows, evenly."""
    return rows[:: -(-len(rows) // SAMPLED)]


def _principal_axes(
    thumbnails: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean ``[D]``, and orthonormal axes ``[D, AXES]`` in which the thumbnails differ most."""
    values = thumbnails.astype(np.float64)
    _, axes = np.linalg.eigh(np.cov(values.T, bias=True))
    return values.mean(axis=0).astype(np.float32), axes[:, -AXES:].astype(np.float32)


def _project(
    thumbnails: NDArray[np.uint8], rows: NDArray[np.int64], *, center: NDArray[np.float32],
    axes: NDArray[np.float32],
) -> NDArray[np.float32]:
    """``[N, AXES]``, by blocks, as thumbnails as floats take four times their room."""
    return np.concatenate([
        (thumbnails[rows[at : at + BLOCK_ROWS]].astype(np.float32) - center) @ axes
        for at in range(0, len(rows), BLOCK_ROWS)])
