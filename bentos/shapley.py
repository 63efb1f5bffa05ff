"""Kernel SHAP (Lundberg & Lee 2017): Shapley values by one weighted least squares fit.

Coalitions of the sizes that weigh most are taken all, others are drawn in pairs with their
complements. With all coalitions the values are exact; for a linear game they always are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.bool_]
Values = NDArray[np.float64]
# Beyond this many coalitions of a size, listing them costs more than it gains.
MAX_LISTED: Final = 100_000


def kernel_shap(
    value: Callable[[Masks], Values], players: int, *, samples: int, seed: int = 0
) -> Values:
    """Shapley values float64 ``[players]``; they sum to ``value(all) - value(none)``.

    ``value`` is given coalitions bool ``[S, players]`` and gives float64 ``[S]``; it is asked for
    about ``samples`` of them. Equal arguments give equal values.

    Raises:
        ValueError: no player, or fewer samples than the fit needs (twice the players).
    """
    if players < 1 or (players > 1 and samples < min(2 * players, 2**players - 2)):
        raise ValueError(f"{samples} samples do not determine the values of {players} players")
    masks, weights = draw_coalitions(players, samples, np.random.default_rng(seed))
    ends = np.stack([np.zeros(players, np.bool_), np.ones(players, np.bool_)])
    found = value(np.concatenate([ends, masks]))
    return _fit(masks, weights, found[2:] - found[0], float(found[1] - found[0]))


def draw_coalitions(
    players: int, samples: int, random: np.random.Generator
) -> tuple[Masks, Values]:
    """Coalitions bool ``[S, players]``, none empty or whole, and their weights ``[S]``."""
    sizes = np.arange(1, players // 2 + 1)
    paired = sizes != players - sizes
    # The kernel's weight of all coalitions of a size, and of those of the opposite size.
    mass = (players - 1) / (sizes * (players - sizes)) * np.where(paired, 2, 1)
    masks: list[Masks] = [np.zeros((0, players), np.bool_)]
    weights: list[Values] = [np.zeros(0)]
    left, first = samples, 0
    for size, pair, weight in zip(sizes, paired, mass, strict=True):
        count = math.comb(players, int(size)) * (2 if pair else 1)
        expected = left * weight / mass[first:].sum()
        # A single player's coalitions are always listed: without them the fit has no solution.
        if count > left or count > MAX_LISTED or (first > 0 and count > expected):
            break
        listed = _all_of(players, int(size))
        masks.append(np.concatenate([listed, ~listed]) if pair else listed)
        weights.append(np.full(count, weight / count))
        left, first = left - count, first + 1
    pairs = left // 2
    if first < len(sizes) and pairs:
        drawn = random.choice(sizes[first:], pairs, p=mass[first:] / mass[first:].sum())
        order = random.random((pairs, players)).argsort(axis=1).argsort(axis=1)
        chosen = order < drawn[:, None]
        masks.append(np.concatenate([chosen, ~chosen]))
        weights.append(np.full(2 * pairs, mass[first:].sum() / (2 * pairs)))
    return np.concatenate(masks), np.concatenate(weights)


def _all_of(players: int, size: int) -> Masks:
    places = np.array(list(itertools.combinations(range(players), size)))
    masks = np.zeros((len(places), players), np.bool_)
    masks[np.arange(len(places))[:, None], places] = True
    return masks


def _fit(masks: Masks, weights: Values, gains: Values, total: float) -> Values:
    """Weighted least squares with the last value as what the others leave of ``total``."""
    last = masks[:, -1].astype(np.float64)
    columns = masks[:, :-1] - last[:, None]
    weighted = columns * weights[:, None]
    # Every single player is among the coalitions, so the normal equations have one solution; they
    # are small, where a least squares solver would wake all threads of the linear algebra library.
    others = np.linalg.solve(weighted.T @ columns, weighted.T @ (gains - last * total))
    return np.append(others, total - others.sum())
