"""One soak: traffic, swaps and samples side by side for a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from benchmarks.soak.samples import Sample, look
from benchmarks.soak.service import Soaked
from benchmarks.soak.traffic import Traffic, good_images
from resources.journal import hours, read_hour
from tests.running import SPEC, members


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds: in all, to warm up, between samples, between swaps, between a client's requests."""

    seconds: float
    warm: float
    every: float
    swap_every: float
    pause: float


@dataclass(frozen=True, slots=True)
class Soak:
    """What was seen. ``samples`` begin after the warm-up."""

    samples: list[Sample]
    statuses: Counter[tuple[str, int]]
    faults: list[str]
    swaps: int


def soak(soaked: Soaked, plan: Plan, *, told: Callable[[Sample], None]) -> Soak:
    """Run the plan; ``told`` hears of every sample, those of the warm-up too."""
    return asyncio.run(_soak(soaked, plan, told))


async def _soak(soaked: Soaked, plan: Plan, told: Callable[[Sample], None]) -> Soak:
    traffic = Traffic(str(soaked.running.client.base_url), good_images(SPEC), seed=1,
                      pause=plan.pause)
    stop = asyncio.Event()
    asking = asyncio.create_task(traffic.run(stop))
    swapping = asyncio.create_task(_swap(soaked, plan.swap_every, stop))
    processes = members(soaked.running.home)
    samples: list[Sample] = []
    started = time.monotonic()
    try:
        while (at := time.monotonic() - started) < plan.seconds and not asking.done():
            await asyncio.wait([asking], timeout=plan.every)
            sample = look(processes, at, traffic.seconds)
            traffic.seconds.clear()
            told(sample)
            if at >= plan.warm:
                samples.append(sample)
    finally:
        stop.set()
        await asyncio.gather(asking, swapping)
    faults = [*traffic.faults, *_unlike(processes, members(soaked.running.home))]
    faults += _missing(soaked, traffic.made)
    return Soak(samples, traffic.statuses, faults, soaked.revision)


async def _swap(soaked: Soaked, every: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        soaked.swap()
        try:
            async with asyncio.timeout(every):
                await stop.wait()
        except TimeoutError:
            continue


def _unlike(before: list[psutil.Process], after: list[psutil.Process]) -> list[str]:
    gone = set(before) - set(after)
    return [f"a process died: {each}" for each in gone]


def _missing(soaked: Soaked, made: list[str]) -> list[str]:
    """Whether the journal has what was answered, and nothing else but what shadows saw."""
    folder = soaked.running.journal
    kept = Counter(record.answer.prediction_id for key in hours(folder)
                   for record in read_hour(folder, key)[0] if record.shadow_of is None)
    answered = Counter(made)
    if kept == answered:
        return []
    return [f"{(answered - kept).total()} answers are not in the journal, and "
            f"{(kept - answered).total()} of its records were not answered"]
