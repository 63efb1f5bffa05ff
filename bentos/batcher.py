"""Opportunistic batching: no timer. What arrives while the one worker is busy goes together."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Overloaded(Exception):
    """The queue is full or the batcher is closing; ``retry_after`` is in whole seconds."""

    def __init__(self, reason: str, *, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after: Final = retry_after


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Result]


class Batcher(Generic[Item, Result]):
    """Runs ``work`` on up to ``max_batch`` items at once, on one thread of its own.

    ``work`` gives one outcome an item, in order; an outcome that is an exception is raised to
    that item's caller alone. When ``work`` itself raises, every item of that batch is tried
    again by itself, so ``work`` must have no lasting effect before it raises.
    One event loop uses a batcher; it needs no lock.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        max_batch: int,
        max_queue: int,
        on_batch: Callable[[int, float], None],
    ) -> None:
        """``on_batch`` hears the size and the seconds of every finished batch, on the loop."""
        self._work = work
        self._max_batch: Final = max_batch
        self._max_queue: Final = max_queue
        self._on_batch = on_batch
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch")
        self._running: asyncio.Task[None] | None = None
        self._seconds_an_item = 0.01
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it takes no more items."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Items in the queue, without those being worked on."""
        return len(self._queue)

    async def submit(self, item: Item) -> Result:
        """The result for ``item``. A cancelled caller leaves the queue.

        Raises:
            Overloaded: ``max_queue`` items wait already, or the batcher is closed.
            Exception: what ``work`` gave or raised for this item.
        """
        if self._closed:
            raise Overloaded("the service is stopping", retry_after=1)
        if len(self._queue) >= self._max_queue:
            seconds = math.ceil(len(self._queue) * self._seconds_an_item)
            raise Overloaded(
                f"{len(self._queue)} images wait already", retry_after=min(max(seconds, 1), 60)
            )
        entry = _Waiting[Item, Result](item, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        if self._running is None:
            self._running = asyncio.create_task(self._drain())
        try:
            return await entry.answer
        except asyncio.CancelledError:
            if entry in self._queue:
                self._queue.remove(entry)
            raise

    async def close(self) -> None:
        """Refuse what waits, finish what runs, stop the thread. Harmless when repeated."""
        self._closed = True
        while self._queue:
            entry = self._queue.popleft()
            if not entry.answer.done():
                entry.answer.set_exception(Overloaded("the service is stopping", retry_after=1))
        if self._running is not None:
            await self._running
        self._thread.shutdown(wait=True)

    async def _drain(self) -> None:
        try:
            while self._queue:
                size = min(len(self._queue), self._max_batch)
                await self._run([self._queue.popleft() for _ in range(size)])
        finally:
            self._running = None

    async def _run(self, batch: list[_Waiting[Item, Result]]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        items = [entry.item for entry in batch]
        outcomes = await loop.run_in_executor(self._thread, self._outcomes, items)
        seconds = loop.time() - started
        self._seconds_an_item += 0.1 * (seconds / len(batch) - self._seconds_an_item)
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.answer.done():
                continue
            if isinstance(outcome, Exception):
                entry.answer.set_exception(outcome)
            else:
                entry.answer.set_result(outcome)
        self._on_batch(len(batch), seconds)

    def _outcomes(self, items: list[Item]) -> list[Result | Exception]:
        try:
            return list(self._work(items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item])]
