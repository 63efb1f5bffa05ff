"""How far each column of a window lies from the reference: from counts in cells, in one pass.

Sketches of parts merge, so a window may be any range of hours and never needs to fit the memory.
Distances describe; whether they are chance is for the trigger to say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlops_assets.monitoring.trigger.sketches import Floats, Grid, Sketch, sketch
from mlops_assets.monitoring.trigger.views import Matrix, Rows, Views

PARTS = 32


@dataclass(frozen=True, slots=True)
class ColumnShift:
    """One column.

    ``ks`` is the two-sample Kolmogorov-Smirnov distance and ``js`` the Jensen-Shannon distance
    (base 2) over 32 cells of equally many reference rows, both 0 to 1; ``moved`` is the difference
    of means in standard deviations of the reference.
    """

    name: str
    ks: float
    js: float
    moved: float


@dataclass(frozen=True, slots=True)
class Columns:
    """The reference's columns, and how rows are put beside them."""

    views: Views
    names: list[str]
    grid: Grid
    reference: Sketch
    classes: int

    @classmethod
    def fit(cls, rows: Rows, classes: list[str]) -> Columns:
        """For windows that are compared with ``rows``."""
        views = Views.fit(rows)
        matrix = views.matrix(rows)
        names = views.names(classes, probabilities=rows.probabilities is not None,
                            components=rows.projected.shape[1])
        grid = Grid.fit(matrix.values)
        return cls(views, names, grid, _sketch(grid, matrix, len(classes)), len(classes))

    def sketch(self, parts: Iterable[Rows]) -> Sketch | None:
        """Of a window that comes in parts; None without a row."""
        found: Sketch | None = None
        for rows in parts:
            made = _sketch(self.grid, self.views.matrix(rows), self.classes)
            found = made if found is None else found.merge(made)
        return found

    def compare(self, window: Sketch) -> list[ColumnShift]:
        """Every column, the farthest first."""
        ks, js = distances(self.reference, window)
        moved = mean_shift(self.reference, window)
        found = [ColumnShift(name, float(ks[each]), float(js[each]), float(moved[each]))
                 for each, name in enumerate(self.names)]
        return sorted(found, key=lambda shift: -shift.ks)


def distances(reference: Sketch, window: Sketch) -> tuple[Floats, Floats]:
    """Kolmogorov-Smirnov and Jensen-Shannon distances ``[F]``."""
    shares = [each.cells / max(1, each.rows) for each in (reference, window)]
    risen = [np.cumsum(each, axis=1) for each in shares]
    ks = np.abs(risen[0] - risen[1]).max(axis=1)
    # Cells that hold equally many reference rows; one that a tie fills leaves others empty.
    part = np.minimum((risen[0] - shares[0] / 2) * PARTS, PARTS - 1).astype(np.int64)
    flat = (part + np.arange(len(part))[:, None] * PARTS).ravel()
    p, q = (np.bincount(flat, each.ravel(), len(part) * PARTS).astype(np.float64)
            .reshape(len(part), PARTS) for each in shares)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return ks, np.sqrt(np.maximum(divergence, 0.0))


def mean_shift(reference: Sketch, window: Sketch) -> Floats:
    """Difference of means ``[F]`` in standard deviations of the reference."""
    means = [each.sums / max(1, each.rows) for each in (reference, window)]
    variance = reference.squares / max(1, reference.rows) - means[0] ** 2
    difference: Floats = (means[1] - means[0]) / np.sqrt(np.maximum(variance, 1e-12))
    return difference


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """Kullback-Leibler divergence in bits ``[F]``."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=(p > 0) & (q > 0))
    found: Floats = (p * np.log2(ratio)).sum(axis=1)
    return found


def _sketch(grid: Grid, matrix: Matrix, classes: int) -> Sketch:
    return sketch(grid, matrix.values, matrix.predicted, matrix.maps, classes)
