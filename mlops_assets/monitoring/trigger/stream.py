"""The trigger: rows in, a verdict out, and a state that can be put away and taken up again.

Rows are cut into windows by their number alone, never by what they hold, so that it makes no
difference in which batches they come or how often one asks. What does not fill a window waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.trigger.engine import Engine, Pool, Window
from mlops_assets.monitoring.trigger.evidence import Beginnings, moving_beginning
from mlops_assets.monitoring.trigger.sketches import Floats, Grid
from mlops_assets.monitoring.trigger.views import Matrix

Verdict = Literal["stable", "watch", "drifted"]
WINDOW_ROWS: Final = 200
HISTORY: Final = 2000


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal's evidence.

    ``evidence`` is an e-value: under no drift it exceeds x with probability at most 1 / x, over all
    time. ``direction`` is the sign of the shift, ``since`` the window with which it seems to have
    begun, counted from 1.
    """

    name: str
    log_evidence: float
    direction: int
    since: int


@dataclass(slots=True)
class Trigger:
    """Whether production is still like the reference.

    ``alpha`` bounds the chance that it ever says ``drifted`` while nothing drifts, so also that of
    any year. ``drifted`` stays until a new reference: what came back is for a person to judge.
    ``baseline`` are the rows that reports compare with: the reference and every window taken in
    while the verdict was ``stable``; ``suspect`` are the rows since. The test itself pools both,
    as pooling only part of the rows, chosen by their evidence, would void its guarantee.
    """

    grid: Grid
    names: list[str]
    engine: Engine
    baseline: Pool
    suspect: Pool
    waiting: Matrix
    alpha: float
    watch_alpha: float
    history: Floats
    alarm_window: int = 0

    @classmethod
    def fit(
        cls, reference: Matrix, names: list[str], classes: int, *, alpha: float,
        watch_alpha: float = 0.05, window_rows: int = WINDOW_ROWS, seed: int = 0,
    ) -> Trigger:
        """From reference rows; ``names`` are those of the signals.

        Raises:
            ValueError: fewer than three windows of reference rows.
        """
        order = np.random.default_rng([seed, 2]).permutation(len(reference.predicted))
        grid = Grid.fit(reference.values)
        rows = _to_window(grid, reference.part(order))
        engine = Engine.fit(rows, classes, window_rows=window_rows, seed=seed)
        return cls(grid, names, engine, engine.pool, _empty(engine.pool), reference.part(slice(0)),
                   alpha, watch_alpha, np.zeros(0))

    def update(self, rows: Matrix) -> Verdict:
        """Take in rows, in order of time."""
        rows = self.waiting.join(rows)
        size = self.engine.window_rows
        full = len(rows.predicted) // size * size
        for start in range(0, full, size):
            self._take(_to_window(self.grid, rows.part(slice(start, start + size))))
        self.waiting = rows.part(slice(full, None))
        return self.verdict

    @property
    def log_evidence(self) -> float:
        """Logarithm of the evidence against "nothing has drifted", of all signals together."""
        return float(self.engine.log_total()[0])

    @property
    def verdict(self) -> Verdict:
        """By the evidence after the latest full window."""
        if self.alarm_window:
            return "drifted"
        return "watch" if self.log_evidence >= -np.log(self.watch_alpha) else "stable"

    def signals(self) -> list[Signal]:
        """Every signal, the most telling first."""
        engine = self.engine
        logs = engine.log_signals[0] + np.log(engine.weights())
        begun = moving_beginning(engine.begun, engine.running, engine.pool.rows)[0]
        place = np.searchsorted(engine.begun.window, begun)
        moved = engine.running[0] - engine.begun.running[place, 0, np.arange(len(place))]
        order = np.argsort(-logs, kind="stable")
        return [Signal(self.names[each], float(engine.log_signals[0, each]),
                       int(np.sign(moved[each])), int(begun[each])) for each in order]

    def _take(self, window: Window) -> None:
        self.engine.step(window)
        if not self.alarm_window and self.log_evidence >= -np.log(self.alpha):
            self.alarm_window = self.engine.windows
        self.history = np.append(self.history, self.log_evidence)[-HISTORY:]
        counts = self.suspect.merge(Pool.of(window, self.baseline.classes.shape[1]))
        if self.verdict == "stable":
            self.baseline, self.suspect = self.baseline.merge(counts), _empty(counts)
        else:
            self.suspect = counts

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The whole state, for ``numpy.savez``; no pickle is needed."""
        engine = self.engine
        pools = {"pool": engine.pool, "baseline": self.baseline, "suspect": self.suspect}
        return {
            "low": self.grid.low, "scale": self.grid.scale, "names": np.array(self.names),
            **{f"{name}_{part}": getattr(pool, part)
               for name, pool in pools.items() for part in ("cells", "classes", "maps")},
            "inverse": engine.inverse, "kept": engine.kept, "running": engine.running,
            "log_signals": engine.log_signals, "begun_window": engine.begun.window,
            "begun_rows": engine.begun.rows, "begun_running": engine.begun.running,
            "waiting_values": self.waiting.values, "waiting_maps": self.waiting.maps,
            "waiting_predicted": self.waiting.predicted, "history": self.history,
            "alphas": np.array([self.alpha, self.watch_alpha]),
            "counts": np.array([engine.seed, engine.window_rows, engine.windows,
                                self.alarm_window]),
        }

    @classmethod
    def from_arrays(cls, kept: Mapping[str, NDArray[Any]]) -> Trigger:
        """The trigger that ``to_arrays`` was called on."""
        pool, baseline, suspect = (
            Pool(*(kept[f"{name}_{part}"] for part in ("cells", "classes", "maps")))
            for name in ("pool", "baseline", "suspect"))
        seed, window_rows, windows, alarm_window = (int(each) for each in kept["counts"])
        engine = Engine(
            pool, kept["inverse"], kept["kept"], kept["running"],
            Beginnings(kept["begun_window"], kept["begun_rows"], kept["begun_running"]),
            seed, window_rows, windows, kept["log_signals"])
        alpha, watch_alpha = (float(each) for each in kept["alphas"])
        waiting = Matrix(kept["waiting_values"], kept["waiting_maps"], kept["waiting_predicted"])
        return cls(Grid(kept["low"], kept["scale"]), kept["names"].tolist(), engine, baseline,
                   suspect, waiting, alpha, watch_alpha, kept["history"], alarm_window)


def _to_window(grid: Grid, rows: Matrix) -> Window:
    return Window(grid.place(rows.values)[None], rows.maps[None], rows.predicted[None])


def _empty(pool: Pool) -> Pool:
    return Pool(np.zeros_like(pool.cells), np.zeros_like(pool.classes), np.zeros_like(pool.maps))
