"""How many windows of 200 the stream trigger needs after a shift begins."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from benchmarks.drift.images import CLASSES
from benchmarks.drift.scenes import Scene, Watched
from benchmarks.drift.shifts import SHIFTS, Shift
from mlops_assets.monitoring.trigger.engine import signal_names
from mlops_assets.monitoring.trigger.stream import WINDOW_ROWS, Trigger

ALPHA: Final = 0.01
CLEAN_WINDOWS: Final = 20
BY_NAME: Final = {shift.name: shift for shift in SHIFTS}
STREAMS: Final = (
    ("large noise", 0.05), ("large noise", 0.1), ("medium transform", 0.05),
    ("large transform", 0.05), ("adversarial", 0.1), ("knock-out", 0.25), ("knock-out", 0.5),
    ("knock-out", 1.0),
)


def run_stream(scene: Scene, watched: Watched, shift: Shift, share: float, seed: int,
               most: int) -> dict[str, Any]:
    """20 clean windows, then the shift until the alarm, or ``most`` windows.

    No image comes twice, so that until the shift begins nothing drifts.
    """
    rng = np.random.default_rng([seed, 6])
    columns = [f"column {index}" for index in range(watched.reference.values.shape[1])]
    names = signal_names(columns, [str(label) for label in range(CLASSES)])
    trigger = Trigger.fit(watched.reference, names, CLASSES, alpha=ALPHA, seed=seed)
    order = rng.permutation(len(scene.labels))
    before, after = np.split(order, [CLEAN_WINDOWS * WINDOW_ROWS])
    trigger.update(watched.rows([("clean", before)]))
    early = trigger.verdict == "drifted"
    if shift.classes == "knock-out":
        after = after[(scene.labels[after] != 0) | (rng.random(len(after)) >= share)]
    changed = rng.random(len(after)) < share if shift.change else np.zeros(len(after), bool)
    for number in range(most):
        rows = slice(number * WINDOW_ROWS, (number + 1) * WINDOW_ROWS)
        chosen, hit = after[rows], changed[rows]
        trigger.update(watched.rows([(shift.change or "clean", chosen[hit]),
                                     ("clean", chosen[~hit])]))
        if trigger.verdict == "drifted":
            return {"early": early, "delay": number + 1}
    return {"early": early, "delay": None}


def measure_delays(
    scene: Scene, watched: dict[str, Watched], *, streams: int, most: int
) -> list[dict[str, Any]]:
    """For every view and stream of ``STREAMS``."""
    runs = []
    for views, each in watched.items():
        for name, share in STREAMS:
            for seed in range(streams):
                result = run_stream(scene, each, BY_NAME[name], share, seed, most)
                runs.append({"views": views, "shift": name, "share": share, **result})
    return runs


def median_delay(runs: list[dict[str, Any]], views: str, shift: str, share: float) -> float:
    """Median of windows until the alarm; infinite where half of the streams never alarm."""
    delays = [np.inf if run["delay"] is None else float(run["delay"]) for run in runs
              if (run["views"], run["shift"], run["share"]) == (views, shift, share)]
    return float(np.median(delays))
