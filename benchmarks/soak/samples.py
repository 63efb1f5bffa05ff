"""What a process holds over time, and whether that grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import psutil

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: seconds since the start, sums over all processes, milliseconds of good answers."""

    at: float
    memory_mib: float
    descriptors: int
    threads: int
    answers: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Most growth between the end of the warm-up and the end; ``latency`` as a share of p50."""

    memory_mib: float
    descriptors: float
    threads: float
    latency: float


def look(processes: Sequence[psutil.Process], at: float, seconds: Sequence[float]) -> Sample:
    """A sample of these processes, and of answers that took so long.

    Raises:
        psutil.NoSuchProcess: one of them is gone.
    """
    took = sorted(seconds) or [0.0]
    return Sample(
        at=at, answers=len(seconds),
        memory_mib=sum(each.memory_info().rss for each in processes) / MIB,
        descriptors=sum(each.num_fds() for each in processes),
        threads=sum(each.num_threads() for each in processes),
        p50_ms=1000 * took[len(took) // 2], p99_ms=1000 * took[int(0.99 * (len(took) - 1))],
    )


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Growth a second by Theil and Sen: the median over all pairs, which no outlier moves.

    Raises:
        ValueError: fewer than two moments.
    """
    pairs = combinations(range(len(times)), 2)
    slopes = [(values[j] - values[i]) / (times[j] - times[i]) for i, j in pairs]
    if not slopes:
        raise ValueError(f"{len(times)} samples have no slope; let it run for longer")
    return float(statistics.median(slopes))


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """Slope times duration of each thing that is watched; of p50 and p99 as a share of the median.

    Raises:
        ValueError: fewer than two samples.
    """
    times = [each.at for each in samples]
    lasted = times[-1] - times[0]
    found = {name: lasted * slope(times, [float(getattr(each, name)) for each in samples])
             for name in ("memory_mib", "descriptors", "threads", "p50_ms", "p99_ms")}
    for name in ("p50_ms", "p99_ms"):
        found[name] /= statistics.median(getattr(each, name) for each in samples)
    return found


def grown(found: dict[str, float], bounds: Bounds) -> list[str]:
    """What grew by more than it may, in words."""
    allowed = {"memory_mib": bounds.memory_mib, "descriptors": bounds.descriptors,
               "threads": bounds.threads, "p50_ms": bounds.latency, "p99_ms": bounds.latency}
    return [f"{name} grew by {found[name]:.3g}, allowed is {most:g}"
            for name, most in allowed.items() if found[name] > most]
