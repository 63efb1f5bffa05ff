"""`make soak` in less than a minute, and whether it would notice what grows."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak.run import Plan, soak
from benchmarks.soak.samples import Bounds, Sample, grown, growth
from benchmarks.soak.service import soaked

# After the warm-up, some 10,000 requests: 24 MiB are 2.5 KB for each. Descriptors and threads are
# flat; the machine is not only the test's, so that the latency is left to `make soak`.
BOUNDS = Bounds(memory_mib=24.0, descriptors=3.0, threads=3.0, latency=float("inf"))
PLAN = Plan(seconds=45.0, warm=20.0, every=1.0, swap_every=2.0, pause=0.0)


def flat(count: int = 60) -> list[Sample]:
    """Noise around nothing that grows."""
    chance = np.random.default_rng(0)
    return [Sample(at=10.0 * number, memory_mib=300 + chance.normal(0, 3), threads=20,
                   descriptors=40 + int(chance.integers(0, 3)), answers=100,
                   p50_ms=5 + chance.normal(0, 0.3), p99_ms=30 + chance.exponential(10))
            for number in range(count)]


def test_noise_is_no_growth() -> None:
    bounds = Bounds(memory_mib=4, descriptors=2, threads=1, latency=0.25)
    assert grown(growth(flat()), bounds) == []


@pytest.mark.parametrize(("name", "much"), [
    ("memory_mib", 20.0), ("descriptors", 8), ("threads", 5), ("p50_ms", 3.0), ("p99_ms", 40.0)])
def test_growth_is_named(name: str, much: float) -> None:
    samples = [dataclasses.replace(each, **{name: getattr(each, name) + much * number / 60})
               for number, each in enumerate(flat())]
    bounds = Bounds(memory_mib=4, descriptors=2, threads=1, latency=0.25)
    (told,) = grown(growth(samples), bounds)
    assert told.startswith(name)


@pytest.mark.slow
def test_mixed_traffic_leaves_nothing(tmp_path: Path) -> None:
    with soaked(tmp_path, MLOPS_SERVICE_CACHE_ENTRIES="128") as served:
        found = soak(served, PLAN, told=print)
    assert found.faults == []
    assert found.swaps >= 10
    routes = {route for route, status in found.statuses if status == 200}
    assert len(routes) >= 6, "every kind of request must have been answered"
    assert grown(growth(found.samples), BOUNDS) == [], found.samples
