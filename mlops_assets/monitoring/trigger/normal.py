"""Special functions on arrays, for a module that must not import scipy."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Wichura 1988, algorithm AS 241 (PPND16): numerators and denominators, highest power first.
CENTRE: Final = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
MIDDLE: Final = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959,
     1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)
TAIL: Final = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
     0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
     0.59983220655588793769, 1.0),
)
# [8, 3, 2]: power, range of the argument, numerator or denominator.
POLYNOMIALS: Final[Floats] = np.moveaxis(np.array([CENTRE, MIDDLE, TAIL]), -1, 0)
SMALLEST: Final = 1e-300


def upper_quantile(tail: Floats) -> Floats:
    """The z that a standard normal exceeds with probability ``tail``, to 1e-15 relative.

    Args:
        tail: any shape, in (0, 1); 0 is taken as 1e-300.
    """
    below = np.clip(tail, SMALLEST, 1.0 - 2**-53)
    centred = 0.5 - below
    near = 0.180625 - centred * centred
    far = np.sqrt(-np.log(np.minimum(below, 1.0 - below)))
    # All six polynomials at once: arrays are small, so that calls are what costs.
    arguments = np.stack([near, far - 1.6, far - 5.0])[:, None]
    first, *others = POLYNOMIALS.reshape(8, 3, 2, *[1] * tail.ndim)
    value = first
    for coefficients in others:
        value = value * arguments + coefficients
    centre = centred * value[0, 0] / value[0, 1]
    middle, outer = value[1:, 0] / value[1:, 1]
    sided = np.sign(centred) * np.where(far <= 5.0, middle, outer)
    found: Floats = np.where(np.abs(centred) <= 0.425, centre, sided)
    return found


def hypergeometric(
    total: int, marked: NDArray[np.int64], drawn: int
) -> tuple[Floats, Floats, Floats]:
    """How many of ``drawn`` of ``total`` rows are among the ``marked``.

    ``marked`` is int64 ``[C]``, one distribution each.

    Returns:
        Three float64 ``[C, drawn + 1]``: the chances of exactly, fewer than, and more than x.
    """
    x = np.arange(drawn + 1, dtype=np.float64)[None, :]
    good = marked[:, None].astype(np.float64)
    bad = total - good
    possible = (x <= good) & (drawn - x <= bad)
    upper = possible[:, :-1] & possible[:, 1:]
    ratio = np.where(upper, (good - x[:, :-1]) * (drawn - x[:, :-1]), 1.0)
    ratio /= np.where(upper, x[:, 1:] * (bad - drawn + x[:, 1:]), 1.0)
    logs = np.concatenate([np.zeros_like(good), np.cumsum(np.log(ratio), axis=1)], axis=1)
    exactly = np.where(possible, np.exp(logs - logs.max(axis=1, keepdims=True)), 0.0)
    exactly /= exactly.sum(axis=1, keepdims=True)
    fewer = np.cumsum(exactly, axis=1) - exactly
    more = np.cumsum(exactly[:, ::-1], axis=1)[:, ::-1] - exactly
    return exactly, np.maximum(fewer, 0.0), np.maximum(more, 0.0)


def count_z(
    counts: NDArray[np.int64], tables: tuple[Floats, Floats, Floats], toss: Floats
) -> Floats:
    """Counts as exactly standard normal z, large where the count is large.

    The chance of the observed count is split at random (a randomised p-value), so that z is normal
    and not only about so; the smaller of both tails is the one that is computed with.

    Args:
        counts: ``[C, ...]``.
        tables: from ``hypergeometric``, ``[C, drawn + 1]`` each.
        toss: uniform in (0, 1), of the shape of ``counts``.
    """
    place = (np.arange(len(counts)).reshape(-1, *[1] * (counts.ndim - 1)), counts)
    exactly, fewer, more = (table[place] for table in tables)
    upper, lower = more + toss * exactly, fewer + (1.0 - toss) * exactly
    return np.where(upper < lower, 1.0, -1.0) * upper_quantile(np.minimum(upper, lower))
