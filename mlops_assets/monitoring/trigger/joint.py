"""Statistics of all columns at once, judged by their rank among those of earlier windows.

Their null distribution depends on how columns go together, which no rank of a single column tells.
Windows have equally many rows, so without drift the statistics of earlier windows, and of disjoint
pieces of the reference, are exchangeable with the latest one: its rank among them is a conformal
p-value. Of the earlier ones a bounded sample is kept; which one leaves is chosen evenly, and so the
p-values stay independent.

``kernel`` is the squared maximum mean discrepancy (Gretton et al. 2012) of a Gaussian kernel by
random Fourier features (Rahimi & Recht 2007); ``energy`` the Mahalanobis length of all location
scores and class counts; ``ks`` the largest Kolmogorov-Smirnov distance of any column.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.trigger.normal import upper_quantile
from mlops_assets.monitoring.trigger.sketches import Counts, Floats

JOINT: Final = ("kernel", "energy", "ks")
KEPT: Final = 4096
RIDGE: Final = 0.03


def precision(scores: Floats) -> Floats:
    """Inverse correlation ``[G, D, D]`` of row scores ``[G, m, D]``, shrunk by a ridge."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    scaled = centred / np.maximum(centred.std(axis=1, keepdims=True), 1e-9)
    correlation = np.swapaxes(scaled, 1, 2) @ scaled / scores.shape[1]
    return np.linalg.inv(correlation + RIDGE * np.eye(scores.shape[2]))


def class_scores(pool: Counts, window: Counts) -> Floats:
    """Class counts ``[G, K]`` of a window, standardised in the ``pool`` that holds it."""
    total, rows = pool.sum(axis=1, keepdims=True), window.sum(axis=1, keepdims=True)
    share = pool / total
    variance = rows * (total - rows) / (total - 1) * share * (1 - share)
    return np.asarray((window - rows * share) / np.sqrt(np.maximum(variance, 1e-9)))


def joint_statistics(
    z: Floats, inverse: Floats, map_sums: tuple[Floats, Floats], cells: tuple[Counts, Counts]
) -> Floats:
    """``[G, 3]`` in the order of ``JOINT``, on one scale for pools of any size.

    Args:
        z: location scores and class counts ``[G, D]``.
        inverse: from ``precision``.
        map_sums: sums of random features over the pool with the window, and over the window,
            ``[G, M]`` each.
        cells: likewise counts ``[G, F, CELLS]``.
    """
    total, rows = (int(counts[0, 0].sum()) for counts in cells)
    scale = rows * total / (total - rows)
    kernel = np.square(map_sums[1] / rows - map_sums[0] / total).sum(axis=1) * scale
    energy = np.einsum("gi,gij,gj->g", z, inverse, z, optimize=True)
    gap = np.cumsum(cells[1] * total - cells[0] * rows, axis=2)
    ks = np.maximum(gap.max(axis=(1, 2)), -gap.min(axis=(1, 2))) / (rows * total) * np.sqrt(scale)
    return np.stack([kernel, energy, ks], axis=1)


def rank_among(
    value: Floats, kept: NDArray[np.float32], rng: np.random.Generator
) -> Floats:
    """Standard normal z, exactly, of ``value`` ``[G, J]`` by its rank in ``kept`` ``[G, J, L]``."""
    mine = value.astype(np.float32)[:, :, None]
    above, ties = (kept > mine).sum(axis=2), (kept == mine).sum(axis=2)
    toss = np.clip(rng.random(value.shape), 1e-12, 1.0)
    return upper_quantile((above + toss * (1 + ties)) / (kept.shape[2] + 1))


def keep(
    value: Floats, kept: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """``kept`` with ``value``; when that is more than ``KEPT``, any one of all leaves."""
    grown = np.concatenate([kept, value.astype(np.float32)[:, :, None]], axis=2)
    if grown.shape[2] <= KEPT:
        return grown
    return np.delete(grown, int(rng.integers(grown.shape[2])), axis=2)
