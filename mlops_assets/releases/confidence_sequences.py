"""Comparisons that may be looked at after every request: intervals that hold at all times at once.

A confidence sequence contains the true rate at every moment with probability ``1 - alpha``, so that
looking often costs nothing. It rests on Robbins' mixture with a Beta(1/2, 1/2) prior, a test
martingale under Ville's inequality (Robbins 1970, doi:10.1214/aoms/1177696786; Howard et al. 2021,
doi:10.1214/20-AOS1991). It depends on counts alone: the order in which outcomes become known, late
labels among them, changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

PRIOR: Final = 0.5
_EDGE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Counts:
    """``events`` among ``trials``: both whole numbers, ``0 <= events <= trials``."""

    trials: int
    events: int

    def __post_init__(self) -> None:
        if not 0 <= self.events <= self.trials:
            raise ValueError(f"{self.events} events among {self.trials} trials")

    @property
    def rate(self) -> float:
        """Events a trial; 0 before the first trial."""
        return self.events / self.trials if self.trials else 0.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate, or a difference of two, between ``lower`` and ``upper``."""

    lower: float
    upper: float


def confidence_sequence(counts: Counts, alpha: float) -> Interval:
    """Where the rate is, with probability ``1 - alpha`` at all moments together.

    Raises:
        ValueError: ``alpha`` is not between 0 and 1.
    """
    # Inside, as the code location reads this module.
    from scipy.optimize import brentq
    from scipy.special import betaln

    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must be between 0 and 1")
    hits, misses = counts.events, counts.trials - counts.events
    mixture = betaln(hits + PRIOR, misses + PRIOR) - betaln(PRIOR, PRIOR)

    def excess(rate: float) -> float:
        """Log of the wealth of a bettor against this rate, above what alpha allows."""
        likelihood = hits * math.log(rate) + misses * math.log1p(-rate)
        return float(mixture - likelihood + math.log(alpha))

    best = min(max(counts.rate, _EDGE), 1 - _EDGE)
    lower = 0.0 if excess(_EDGE) <= 0 else float(brentq(excess, _EDGE, best))
    upper = 1.0 if excess(1 - _EDGE) <= 0 else float(brentq(excess, best, 1 - _EDGE))
    return Interval(lower, upper)


def difference(one: Counts, other: Counts, alpha: float) -> Interval:
    """Where the rate of ``one`` minus that of ``other`` is, at all moments together.

    Each side has half of ``alpha``, so that they need not be independent: for pairs, ``one`` counts
    those that are only the first's, and ``other`` those that are only the second's.
    """
    first, second = confidence_sequence(one, alpha / 2), confidence_sequence(other, alpha / 2)
    return Interval(first.lower - second.upper, first.upper - second.lower)
