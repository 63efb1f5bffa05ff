"""How the ranks of a window's rows lie in the pool of everything seen so far, itself included.

Every statistic is standardised with its exact moments under exchangeability. Location is the
Mann-Whitney statistic. Its cumulant generating function is a sum of ``log(sinh x / x)``, concave in
``x**2``, so it is strictly sub-Gaussian, ``E exp(k z) <= exp(k**2 / 2)``, for a window of any size
against a pool of any size; no normal approximation is involved. Scale is the same for ranks folded
at the median (Ansari & Bradley 1960). Tails and classes are hypergeometric counts, turned to
exactly normal z by a randomised p-value.

Arrays lead with ``G``, streams of one window schedule side by side; production has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.trigger.normal import count_z, hypergeometric
from mlops_assets.monitoring.trigger.sketches import CELLS, Counts, Floats

TAILS: Final = (0.005, 0.05)
STATISTICS: Final = (
    "location", "scale", *(f"{side} {share:.1%}" for share in TAILS for side in ("low", "high")),
)
LOCATION_VARIANCE: Final = 1 / 3
SCALE_MEAN: Final = 1 / 2
SCALE_VARIANCE: Final = 1 / 12


@dataclass(frozen=True, slots=True)
class Placed:
    """Where rows lie among the ranks of a pool of ``total`` rows, int64 ``[G, F, n]`` each.

    A row has one of the ranks ``start + 1 ... end``, which those of its cell share; ``own`` of
    these are the window's.
    """

    start: Counts
    end: Counts
    own: Counts
    total: int


def cell_counts(cells: NDArray[np.int16]) -> Counts:
    """Counts int64 ``[G, F, CELLS]`` of cells ``[G, n, F]``."""
    groups, _, width = cells.shape
    flat = cells + _first(groups, width)
    return np.bincount(flat.ravel(), minlength=groups * width * CELLS).reshape(groups, width, CELLS)


def place(pool: Counts, window: Counts, cells: NDArray[np.int16]) -> Placed:
    """Ranks of a window's ``cells`` ``[G, n, F]`` in ``pool`` ``[G, F, CELLS]``, which holds it."""
    groups, _, width = cells.shape
    flat = np.swapaxes(cells, 1, 2) + _first(groups, width).reshape(groups, width, 1)
    end = np.cumsum(pool, axis=2).ravel()[flat]
    total = int(pool[0, 0].sum())
    return Placed(end - pool.ravel()[flat], end, window.ravel()[flat], total)


def row_scores(placed: Placed) -> tuple[Floats, Floats, Floats]:
    """Expected location and scale score ``[G, F, n]`` of each row, and the variance in its cell.

    Location is ``2 u - 1`` and scale ``|2 u - 1|`` of the relative rank ``u``; both have the same
    variance within a cell that the median does not cut.
    """
    low, high = placed.start / placed.total, placed.end / placed.total
    location = low + high - 1.0
    return location, np.abs(location), (high - low) ** 2 / 3


def rank_z(placed: Placed, rng: np.random.Generator) -> Floats:
    """Standard scores float64 ``[G, F, 6]`` of a window, in the order of ``STATISTICS``."""
    location, scale, spread = row_scores(placed)
    rows, count = placed.end.shape[2], placed.end - placed.start
    shared = (count - placed.own) / np.maximum(count - 1, 1)
    scale, scale_spread = _cut_by_median(placed, scale, spread)
    factor = rows * (placed.total - rows) / (placed.total - 1)
    toss = rng.standard_normal((2, *placed.end.shape[:2]))
    moved = location.sum(axis=2) + toss[0] * np.sqrt((spread * shared).sum(axis=2))
    spread_out = (scale.sum(axis=2) - SCALE_MEAN * rows
                  + toss[1] * np.sqrt((scale_spread * shared).sum(axis=2)))
    found = [moved / np.sqrt(factor * LOCATION_VARIANCE),
             spread_out / np.sqrt(factor * SCALE_VARIANCE)]
    for share in TAILS:
        found += _tail_z(placed, share, rng)
    return np.stack(found, axis=2)


def class_z(pool: Counts, window: Counts, rng: np.random.Generator) -> Floats:
    """Standard scores ``[G, K]`` of predicted-class counts; ``pool`` holds ``window``."""
    tables = hypergeometric(int(pool[0].sum()), pool.ravel(), int(window[0].sum()))
    flat = window.ravel()
    return count_z(flat, tables, _toss(rng, flat.shape)).reshape(window.shape)


def _first(groups: int, width: int) -> Counts:
    return (np.arange(groups * width) * CELLS).reshape(groups, 1, width)


def _toss(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.clip(rng.random(shape), 1e-12, 1.0 - 1e-12)


def _cut_by_median(placed: Placed, scale: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """Scale scores and their variance within a cell, right for cells that hold the median too."""
    cut = (2 * placed.start < placed.total) & (placed.total < 2 * placed.end)
    low = 2 * placed.start[cut] / placed.total - 1
    high = 2 * placed.end[cut] / placed.total - 1
    mean = (high**2 + low**2) / (2 * (high - low))
    scale, spread = scale.copy(), spread.copy()
    scale[cut] = mean
    spread[cut] = np.maximum((high**3 - low**3) / (3 * (high - low)) - mean**2, 0.0)
    return scale, spread


def _tail_z(placed: Placed, share: float, rng: np.random.Generator) -> list[Floats]:
    """Standard scores ``[G, F]`` of how many rows are among the lowest, and the highest, ranks."""
    rows, marked = placed.end.shape[2], max(1, round(share * placed.total))
    tables = hypergeometric(placed.total, np.array([marked]), rows)
    found = []
    for low, high in (
        (placed.start, placed.end), (placed.total - placed.end, placed.total - placed.start),
    ):
        below = low < marked
        across = below & (marked < high)
        sharing = np.count_nonzero(across, axis=2)
        size, good = np.zeros_like(sharing), np.zeros_like(sharing)
        group, column, row = np.nonzero(across)
        start, end = low[group, column, row], high[group, column, row]
        size[group, column], good[group, column] = end - start, marked - start
        drawn = rng.hypergeometric(good, size - good, sharing)
        counts = np.count_nonzero(below, axis=2) - sharing + drawn
        toss = _toss(rng, counts.shape)
        found.append(count_z(counts[None], tables, toss[None])[0])
    return found
