"""The test itself, a window at a time, for streams side by side that share a window schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.trigger.evidence import (
    Beginnings,
    log_evidence,
    log_mean,
    running_weight,
)
from mlops_assets.monitoring.trigger.joint import (
    JOINT,
    class_scores,
    joint_statistics,
    keep,
    precision,
    rank_among,
)
from mlops_assets.monitoring.trigger.ranks import (
    STATISTICS,
    Placed,
    cell_counts,
    class_z,
    place,
    rank_z,
    row_scores,
)
from mlops_assets.monitoring.trigger.sketches import Counts, Floats

CLASS_SHARE: Final = 0.2
JOINT_SHARE: Final = 0.2
SCORED_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """Rows of ``G`` streams.

    ``cells`` int16 ``[G, n, F]``, ``maps`` float32 ``[G, n, M]``, ``predicted`` int64 ``[G, n]``.
    """

    cells: NDArray[np.int16]
    maps: NDArray[np.float32]
    predicted: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Window:
        """Rows from ``start`` to before ``stop``."""
        return Window(self.cells[:, start:stop], self.maps[:, start:stop],
                      self.predicted[:, start:stop])


@dataclass(frozen=True, slots=True)
class Pool:
    """Counts of rows.

    ``cells`` int64 ``[G, F, CELLS]``, ``classes`` int64 ``[G, K]``, ``maps`` float64 ``[G, M]``.
    """

    cells: Counts
    classes: Counts
    maps: Floats

    @classmethod
    def of(cls, rows: Window, classes: int) -> Pool:
        """Of a window."""
        first = np.arange(len(rows.cells))[:, None] * classes
        counts = np.bincount((rows.predicted + first).ravel(), minlength=len(first) * classes)
        return cls(cell_counts(rows.cells), counts.reshape(-1, classes).astype(np.int64),
                   rows.maps.sum(axis=1, dtype=np.float64))

    def merge(self, other: Pool) -> Pool:
        """Of both together."""
        return Pool(self.cells + other.cells, self.classes + other.classes, self.maps + other.maps)

    @property
    def rows(self) -> int:
        """Rows counted, of one stream."""
        return int(self.classes[0].sum())


@dataclass(slots=True)
class Engine:
    """The state of the test after some windows.

    ``inverse`` float64 ``[G, F + K, F + K]``; ``kept`` float32 ``[G, 3, L]``; ``running`` float64
    ``[G, S]``, by signal in the order of ``signal_names``; ``log_signals`` likewise, the evidence
    of each.
    """

    pool: Pool
    inverse: Floats
    kept: NDArray[np.float32]
    running: Floats
    begun: Beginnings
    seed: int
    window_rows: int
    windows: int = 0
    log_signals: Floats = field(default_factory=lambda: np.zeros((1, 1)))

    @classmethod
    def fit(cls, reference: Window, classes: int, *, window_rows: int, seed: int) -> Engine:
        """From reference rows, which should be in no particular order.

        Raises:
            ValueError: fewer than three windows of reference rows.
        """
        groups, count, width = reference.cells.shape
        if count < 3 * window_rows:
            raise ValueError(f"{count} reference rows are fewer than three windows of "
                             f"{window_rows}; take smaller windows or more held-out images")
        pool = Pool.of(reference, classes)
        part = reference.part(0, SCORED_ROWS)
        location, _, _ = row_scores(place(pool.cells, pool.cells, part.cells))
        one_hot = np.eye(classes)[part.predicted]
        inverse = precision(np.concatenate([np.swapaxes(location, 1, 2), one_hot], axis=2))
        signals = width * len(STATISTICS) + classes + len(JOINT)
        engine = cls(
            pool, inverse, np.zeros((groups, len(JOINT), 0), np.float32),
            np.zeros((groups, signals)), Beginnings.first(count, (groups, signals)), seed,
            window_rows, log_signals=np.zeros((groups, signals)),
        )
        rng = np.random.default_rng([seed, 0])
        for start in range(0, count - window_rows + 1, window_rows):
            piece = reference.part(start, start + window_rows)
            found = engine.compare(piece, pool, Pool.of(piece, classes), rng)
            engine.kept = keep(found[2], engine.kept, rng)
        return engine

    def compare(
        self, rows: Window, pool: Pool, counts: Pool, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """Scores of columns ``[G, F, 6]`` and classes ``[G, K]``, and joint statistics ``[G, 3]``.

        ``pool`` holds the window, ``counts`` is the window alone.
        """
        placed: Placed = place(pool.cells, counts.cells, rows.cells)
        columns = rank_z(placed, rng)
        classes = class_z(pool.classes, counts.classes, rng)
        moved = [columns[:, :, 0], class_scores(pool.classes, counts.classes)]
        joint = joint_statistics(np.concatenate(moved, axis=1), self.inverse,
                                 (pool.maps, counts.maps), (pool.cells, counts.cells))
        return columns, classes, joint

    def step(self, rows: Window) -> Floats:
        """Take in one window; its standard scores ``[G, S]``.

        Random ties come from the seed and the window's number alone.
        """
        before = self.pool.rows
        if self.windows:
            self.begun = self.begun.add(before, self.running)
        self.windows += 1
        rng = np.random.default_rng([self.seed, self.windows])
        counts = Pool.of(rows, self.pool.classes.shape[1])
        self.pool = self.pool.merge(counts)
        columns, classes, joint = self.compare(rows, self.pool, counts, rng)
        ranked = rank_among(joint, self.kept, rng)
        self.kept = keep(joint, self.kept, rng)
        z = np.concatenate([columns.reshape(len(columns), -1), classes, ranked], axis=1)
        self.running = self.running + running_weight(before, counts.rows) * z
        self.log_signals = log_evidence(self.begun, self.running, self.pool.rows)
        return z

    def weights(self) -> Floats:
        """Share of each signal in the whole, ``[S]``; they sum to 1."""
        classes = self.pool.classes.shape[1]
        columns = self.log_signals.shape[1] - classes - len(JOINT)
        shares = (1 - CLASS_SHARE - JOINT_SHARE, CLASS_SHARE, JOINT_SHARE)
        sizes = (columns, classes, len(JOINT))
        return np.concatenate([np.full(size, share / size)
                               for share, size in zip(shares, sizes, strict=True)])

    def log_total(self) -> Floats:
        """Logarithm of the evidence of all signals together, ``[G]``."""
        return log_mean(self.log_signals, self.weights())


def signal_names(columns: list[str], classes: list[str]) -> list[str]:
    """Names of the ``S`` signals."""
    return [*(f"{column}: {statistic}" for column in columns for statistic in STATISTICS),
            *(f"class {name}" for name in classes), *(f"all columns: {name}" for name in JOINT)]
