"""Batches form while the worker is busy; one caller's fate is never another's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import pytest

from bentos.batcher import Batcher, Expired, Overloaded


class Gate:
    """Work that doubles numbers, one batch for each ``open``, and notes every batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.passes = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.passes.acquire(timeout=10)
        self.batches.append(list(items))
        return [ValueError("odd one") if item == 99 else 2 * item for item in items]

    def open(self, times: int = 1) -> None:
        for _ in range(times):
            self.passes.release()


def batcher(
    work: Callable[[Sequence[int]], Sequence[int | Exception]], *, most: int = 8, queue: int = 100
) -> Batcher[int, int]:
    return Batcher(work, max_batch=most, max_queue=queue, on_batch=lambda *_: None)


async def start(batches: Batcher[int, int], items: Sequence[int]) -> list[asyncio.Future[int]]:
    tasks = [asyncio.ensure_future(batches.submit(item)) for item in items]
    await asyncio.sleep(0.02)
    return tasks


def test_batcher_runs_a_lone_item_at_once_and_gathers_the_rest() -> None:
    async def run() -> None:
        gate = Gate()
        batches = batcher(gate)
        first = await start(batches, [0])
        rest = await start(batches, list(range(1, 20)))
        assert batches.waiting == 19
        gate.open(10)
        assert await asyncio.gather(*first, *rest) == [2 * n for n in range(20)]
        assert [len(batch) for batch in gate.batches] == [1, 8, 8, 3]
        await batches.close()

    asyncio.run(run())


def test_batcher_gives_a_bad_item_its_own_error() -> None:
    async def run() -> None:
        gate = Gate()
        gate.open(10)
        batches = batcher(gate)
        answers = await asyncio.gather(
            *(batches.submit(n) for n in (1, 99, 3)), return_exceptions=True
        )
        assert [answers[0], answers[2]] == [2, 6]
        assert isinstance(answers[1], ValueError)
        await batches.close()

    asyncio.run(run())


def test_batcher_tries_items_alone_when_the_batch_fails() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise RuntimeError(f"batch of {len(items)}")
        return [2 * item for item in items]

    async def run() -> None:
        batches = batcher(work)
        answers = await asyncio.gather(
            *(batches.submit(n) for n in (1, 2, 13, 4)), return_exceptions=True
        )
        assert [answers[n] for n in (0, 1, 3)] == [2, 4, 8]
        assert str(answers[2]) == "batch of 1"
        await batches.close()

    asyncio.run(run())


def test_batcher_refuses_when_its_queue_is_full_and_recovers() -> None:
    async def run() -> None:
        gate = Gate()
        batches = batcher(gate, most=2, queue=3)
        tasks = await start(batches, [0])
        tasks += await start(batches, [1, 2, 3])
        with pytest.raises(Overloaded) as refused:
            await batches.submit(4)
        assert 1 <= refused.value.retry_after <= 60
        gate.open(10)
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6]
        assert await batches.submit(5) == 10
        await batches.close()

    asyncio.run(run())


def test_a_cancelled_caller_leaves_the_queue_and_harms_nobody() -> None:
    async def run() -> None:
        gate = Gate()
        batches = batcher(gate)
        running, waiting, other = await start(batches, [0]) + await start(batches, [1, 2])
        for task in (running, waiting):
            task.cancel()
        await asyncio.sleep(0.01)
        gate.open(10)
        assert await other == 4
        assert gate.batches == [[0], [2]]
        assert running.cancelled()
        assert waiting.cancelled()
        await batches.close()

    asyncio.run(run())


def test_close_finishes_what_runs_and_refuses_what_waits() -> None:
    async def run() -> None:
        gate = Gate()
        batches = batcher(gate, most=1)
        running, waiting = await start(batches, [1, 2])
        closing = asyncio.create_task(batches.close())
        await asyncio.sleep(0.01)
        gate.open(10)
        await closing
        assert await running == 2
        with pytest.raises(Overloaded, match="stopping"):
            await waiting
        with pytest.raises(Overloaded, match="stopping"):
            await batches.submit(3)
        await batches.close()

    asyncio.run(run())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batch")]


def test_batcher_answers_each_of_many_callers_with_its_own_result() -> None:
    async def run() -> None:
        batches = batcher(lambda items: [2 * item for item in items], queue=2000)
        answers = await asyncio.gather(*(batches.submit(n) for n in range(1000)))
        assert answers == [2 * n for n in range(1000)]
        await batches.close()

    asyncio.run(run())


def test_lanes_share_what_waits_and_work_side_by_side() -> None:
    async def run() -> None:
        gate = Gate()
        batches = Batcher[int, int](gate, max_batch=8, max_queue=100, lanes=2,
                                    on_batch=lambda *_: None)
        tasks = await start(batches, list(range(10)))
        gate.open(2)
        assert await asyncio.gather(*tasks) == [2 * n for n in range(10)]
        assert sorted(len(batch) for batch in gate.batches) == [5, 5]
        await batches.close()

    asyncio.run(run())


def test_batches_become_small_enough_for_the_target() -> None:
    def work(items: Sequence[int]) -> list[int]:
        time.sleep(0.02 * len(items))
        return list(items)

    async def run() -> None:
        sizes: list[int] = []
        batches = Batcher[int, int](work, max_batch=32, max_queue=1000, max_wait=0.2,
                                    on_batch=lambda size, _: sizes.append(size))
        accepted = refused = 0
        waits: list[float] = []

        async def client() -> None:
            nonlocal accepted, refused
            for _ in range(12):
                began = time.perf_counter()
                try:
                    await batches.submit(1)
                except Overloaded:
                    refused += 1
                    await asyncio.sleep(0.02)
                else:
                    accepted += 1
                    waits.append(time.perf_counter() - began)

        await batches.submit(1)
        await asyncio.gather(*(client() for _ in range(20)))
        assert max(sizes) <= 6
        assert accepted and refused
        assert sorted(waits)[len(waits) // 2] < 0.4
        await batches.close()

    asyncio.run(run())


def test_what_takes_too_long_is_answered_in_the_end() -> None:
    async def run() -> None:
        gate = Gate()
        batches = Batcher[int, int](gate, max_batch=1, max_queue=9, timeout=0.3,
                                    on_batch=lambda *_: None)
        tasks = await start(batches, [1, 2])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in outcomes] == [Expired, Expired]
        gate.open(5)
        assert await batches.submit(3) == 6
        await batches.close()

    asyncio.run(run())


def test_close_can_finish_what_waits() -> None:
    async def run() -> None:
        gate = Gate()
        batches = batcher(gate, most=1)
        tasks = await start(batches, [1, 2, 3])
        closing = asyncio.create_task(batches.close(finish=True))
        await asyncio.sleep(0.01)
        gate.open(5)
        await closing
        assert await asyncio.gather(*tasks) == [2, 4, 6]

    asyncio.run(run())
