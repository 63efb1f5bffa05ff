"""Convolutions over small maps with fewer multiplications: exact identities, chosen by size.

A row of ``size`` inputs convolved with three taps (stride 1, padding 1) is ``A @ ((G @ taps) *
(B @ row))``: as many multiplications as ``G`` has rows, instead of three an output. Where the
padding is known to be zero they are fewer still.

Sources: A. Lavin and S. Gray, *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016), for
rows of four and more; Karatsuba's product of two-by-two Toeplitz matrices for rows of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
TAPS: Final = 3
# Small numbers keep the rounding error of float32 near that of a plain convolution.
POINTS: Final = (0.0, 1.0, -1.0, 2.0, -2.0)
MAX_SIZE: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """``A`` ``[size, products]``, ``G`` ``[products, 3]`` and ``B`` ``[products, size]``."""

    outputs: Matrix
    taps: Matrix
    inputs: Matrix

    @property
    def products(self) -> int:
        """Multiplications a row."""
        return len(self.taps)


@cache
def row_of(size: int) -> Row:
    """The identity for rows of ``size``, 1 to ``MAX_SIZE``.

    Raises:
        ValueError: another size.
    """
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"there is no identity for rows of {size}, only for 1 to {MAX_SIZE}")
    if size == 1:
        return Row(np.ones((1, 1)), np.array([[0.0, 1, 0]]), np.ones((1, 1)))
    if size == 2:
        return Row(
            outputs=np.array([[1.0, 1, 0], [1, 0, 1]]),
            taps=np.array([[0.0, 1, 0], [0, -1, 1], [1, -1, 0]]),
            inputs=np.array([[1.0, 1], [0, 1], [1, 0]]),
        )
    return _winograd(size)


def _winograd(size: int) -> Row:
    """F(size, 3) at ``POINTS`` and infinity, over a row whose two outer inputs are zero."""
    products = size + TAPS - 1
    points = np.array(POINTS[: products - 1])
    outputs = np.zeros((size, products))
    taps = np.zeros((products, TAPS))
    for column, point in enumerate(points):
        others = np.delete(points, column)
        outputs[:, column] = point ** np.arange(size)
        taps[column] = point ** np.arange(TAPS) / np.prod(point - others)
    outputs[-1, -1] = taps[-1, -1] = 1.0
    # Every product of an input and a tap must reach exactly its own output: that fixes `inputs`.
    reach = np.einsum("op,pt->otp", outputs, taps).reshape(size * TAPS, products)
    wanted = np.zeros((size, TAPS, products))
    for output in range(size):
        for tap in range(TAPS):
            wanted[output, tap, output + tap] = 1.0
    inputs = np.linalg.lstsq(reach, wanted.reshape(size * TAPS, products), rcond=None)[0]
    return Row(outputs, taps, np.round(inputs[:, 1:-1] * 240) / 240)


def spectral_weights(weight: NDArray[np.float32], rows: Row, columns: Row) -> NDArray[np.float32]:
    """Kernels ``[K, C, 3, 3]`` as ``[products, C, K]``, rounded once, from float64."""
    found = np.einsum("pi,qj,kcij->pqck", rows.taps, columns.taps, weight.astype(np.float64))
    return np.ascontiguousarray(found.reshape(-1, *found.shape[2:]).astype(np.float32))
