"""How fast backends are here: rounds in turn, so that other work favours none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.models.backends.backend import Run

BATCH: Final = 32
MIN_ROUNDS: Final = 3
MAX_ROUNDS: Final = 200


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds of a lone image, and images a second in batches of ``BATCH``.

    Both are of the quickest run, as other work on the machine only ever adds time; ``median_ms``
    and ``median_batch_ms`` are of all ``rounds``.
    """

    single_ms: float
    images_per_second: float
    median_ms: float
    median_batch_ms: float
    rounds: int


def measure(
    runs: Mapping[str, Run], images: NDArray[np.uint8], *, seconds: float
) -> dict[str, Speed]:
    """Time every backend on the first of ``images`` and on a batch of ``BATCH``.

    Args:
        runs: name to backend.
        images: uint8 ``[N, H, W, C]``; repeated where they are fewer than a batch.
        seconds: after which no further round begins, for all backends together; the least are
            ``MIN_ROUNDS``.
    """
    batch = np.ascontiguousarray(images[np.arange(BATCH) % len(images)])
    single = _time_in_turn(runs, batch[:1], seconds=seconds / 3)
    many = _time_in_turn(runs, batch, seconds=seconds * 2 / 3)
    return {
        name: Speed(
            single_ms=1000 * min(single[name]), images_per_second=BATCH / min(many[name]),
            median_ms=1000 * median(single[name]), median_batch_ms=1000 * median(many[name]),
            rounds=len(many[name]),
        ) for name in runs
    }


def _time_in_turn(
    runs: Mapping[str, Run], images: NDArray[np.uint8], *, seconds: float
) -> dict[str, list[float]]:
    """Seconds of each timed run; each follows an untimed one, which fills the caches again."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    ends = time.perf_counter() + seconds
    for number in range(MAX_ROUNDS):
        if number >= MIN_ROUNDS and time.perf_counter() > ends:
            break
        for name, run in runs.items():
            run(images)
            started = time.perf_counter()
            run(images)
            taken[name].append(time.perf_counter() - started)
    return taken
