"""One look: how unusual rows of any number are, without a history.

Families of statistics are each brought to a p-value by the same statistics of random pieces of the
reference, whose tail is continued as an exponential one; the score is the smallest p-value. A piece
of the reference is compared with the rest of it, so the finite reference is counted in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops_assets.monitoring.trigger.engine import Engine, Pool, Window
from mlops_assets.monitoring.trigger.sketches import Floats

LOOK: Final = ("columns", "classes", "kernel", "energy", "ks")
JUDGED: Final = (0, 1, 3)
SPREAD: Final = 0.5
TAIL: Final = 0.1
MOST: Final = 600.0


@dataclass(frozen=True, slots=True)
class Look:
    """The null distribution ``[draws, 5]`` of the families in the order of ``LOOK``."""

    engine: Engine
    null: Floats
    seed: int

    @classmethod
    def fit(
        cls, engine: Engine, reference: Window, rows: int, *, draws: int = 400, seed: int = 0
    ) -> Look:
        """For looks at ``rows`` rows; at most half of the reference is drawn at once."""
        rng = np.random.default_rng([seed, 3])
        count = reference.cells.shape[1]
        found = []
        for _ in range(draws):
            chosen = rng.choice(count, min(rows, count // 2), replace=False)
            piece = Window(reference.cells[:, chosen], reference.maps[:, chosen],
                           reference.predicted[:, chosen])
            found.append(_families(engine, piece, engine.pool, rng))
        return cls(engine, np.stack(found), seed)

    def p_values(self, rows: Window) -> Floats:
        """Of each family, ``[5]``; beyond the null's last tenth they are extrapolated."""
        rng = np.random.default_rng([self.seed, 4])
        pool = self.engine.pool.merge(Pool.of(rows, self.engine.pool.classes.shape[1]))
        found = _families(self.engine, rows, pool, rng)
        start = np.quantile(self.null, 1 - TAIL, axis=0)
        over = np.maximum(self.null - start, 0.0)
        slope = np.maximum(over.sum(axis=0) / np.maximum((over > 0).sum(axis=0), 1), 1e-9)
        ranked = (1 + (self.null >= found).sum(axis=0)) / (1 + len(self.null))
        tail = TAIL * np.exp(-(found - start) / slope)
        return np.asarray(np.where(found > start, tail, ranked))

    def score(self, rows: Window) -> float:
        """Smallest p-value of the judged families, as ``-log p``: larger is more unusual."""
        least = self.p_values(rows)[list(JUDGED)].min()
        return float(-np.log(np.maximum(least, 1e-300)))


def _families(engine: Engine, rows: Window, pool: Pool, rng: np.random.Generator) -> Floats:
    """``[5]``; ``pool`` holds the rows."""
    counts = Pool.of(rows, pool.classes.shape[1])
    columns, classes, joint = engine.compare(rows, pool, counts, rng)
    total = pool.rows
    variance = SPREAD**2 * counts.rows * (total - counts.rows) / total
    gain = variance / (1 + variance) / 2
    return np.concatenate([
        [_log_mean(columns.ravel(), gain), _log_mean(classes.ravel(), gain)],
        np.log(np.maximum(joint[0], 1e-300)),
    ])


def _log_mean(z: Floats, gain: float) -> float:
    """Logarithm of the mean e-value of scores, without what all have in common."""
    return float(np.log(np.exp(np.minimum(np.square(z) * gain, MOST)).mean()))
