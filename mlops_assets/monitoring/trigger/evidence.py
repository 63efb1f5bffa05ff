"""Evidence over time: a mixture of e-processes over when drift began and how large it is.

Let ``z_s`` be the standard score of window s, with ``n_s`` rows, against a pool of ``N_s`` earlier
rows. If a shift of ``d`` standard deviations began at window r, later pools hold shifted rows too
and the mean of ``z_s`` is ``d N_r sqrt(n_s / (N_s N_{s+1}))``. Betting that much gives the
e-process ``exp(d A - d**2 V / 2)`` with ``A = N_r (C_t - C_r)``, ``C`` the running sum of
``z_s sqrt(n_s / (N_s N_{s+1}))``, and ``V = N_r (N_t - N_r) / N_t``, since the sum telescopes:
the likelihood ratio of all rows since r against all rows before, though every window was pooled.
So no evidence is lost to windows that dilute the baseline, and old beginnings see slow drift.

Over ``d`` a centred normal is mixed in closed form (Robbins 1970); over beginnings and signals
weights that sum to at most 1. The mean of e-processes is one (Vovk & Wang 2021), so by Ville's
inequality it ever reaches ``1 / alpha`` with probability at most alpha, over any horizon. Old
beginnings are thinned out; leaving out terms of the mixture only makes it smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.trigger.sketches import Floats

SPREADS: Final = (0.1, 0.5)
FRESH: Final = 8
# The sum over t >= 1 of 1 / ((t + 1) log(t + 1)**2) is below this (integral bound from 1000 on).
WEIGHT_SUM: Final = 2.1098


@dataclass(frozen=True, slots=True)
class Beginnings:
    """Windows at which drift may have begun.

    ``window`` int64 ``[R]`` from 1, ``rows`` float64 ``[R]`` (the pool before it), ``running``
    float64 ``[R, ..., S]`` (``C`` before it).
    """

    window: NDArray[np.int64]
    rows: Floats
    running: Floats

    @classmethod
    def first(cls, rows: int, shape: tuple[int, ...]) -> Beginnings:
        """Drift may begin with the first window, before which only the reference was seen."""
        return cls(np.array([1], np.int64), np.array([float(rows)]), np.zeros((1, *shape)))

    def add(self, rows: int, running: Floats) -> Beginnings:
        """One more, thinned out: the last ones all, and about four an octave of older ones."""
        latest = int(self.window[-1]) + 1
        window = np.append(self.window, latest)
        step = 2 ** np.maximum(np.log2(np.maximum(latest - window, 1) / 4).astype(np.int64), 0)
        stays = (latest - window < FRESH) | (window % step == 0) | (window == 1)
        return Beginnings(window[stays], np.append(self.rows, float(rows))[stays],
                          np.concatenate([self.running, running[None]])[stays])


def running_weight(before: int, rows: int) -> float:
    """What a window's z counts in the running sum ``C``."""
    return float(np.sqrt(rows / (before * (before + rows))))


def log_weight(window: NDArray[np.int64]) -> Floats:
    """Logarithm of the share of the mixture that a beginning has; all sum to less than 1."""
    later = window + 1.0
    return np.asarray(-np.log(WEIGHT_SUM * later * np.log(later) ** 2))


def log_evidence(begun: Beginnings, running: Floats, rows: int) -> Floats:
    """Logarithm of each signal's e-process, of the shape of ``running`` ``[..., S]``.

    ``rows`` are those of the pool, with the latest window.
    """
    column = (-1, *[1] * running.ndim)
    before = begun.rows.reshape(column)
    variance = before * (rows - before) / rows
    shares = (log_weight(begun.window) - np.log(len(SPREADS))).reshape(column)
    squares = np.square(before * (running - begun.running))
    parts = []
    for spread in SPREADS:
        grown = 1.0 + spread**2 * variance
        parts.append(squares * (0.5 * spread**2 / grown) - 0.5 * np.log(grown) + shares)
    logs = np.concatenate(parts)
    best = logs.max(axis=0)
    return np.asarray(best + np.log(np.exp(logs - best).sum(axis=0)))


def log_mean(logs: Floats, weights: Floats) -> Floats:
    """Logarithm of the weighted mean of e-values over the last axis; weights sum to 1."""
    best = logs.max(axis=-1, keepdims=True)
    mean = (np.exp(logs - best) * weights).sum(axis=-1)
    return np.asarray(best[..., 0] + np.log(mean))


def moving_beginning(begun: Beginnings, running: Floats, rows: int) -> NDArray[np.int64]:
    """The beginning that gives each signal its largest term, of the shape of ``running``."""
    column = (-1, *[1] * running.ndim)
    before = begun.rows.reshape(column)
    variance = np.maximum(before * (rows - before) / rows, 1e-9)
    score = (before * (running - begun.running)) ** 2 / variance / 2
    return np.asarray(begun.window[(score + log_weight(begun.window).reshape(column)).argmax(0)])
