"""Opportunistic batching: what arrives while every lane is busy goes together."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
SWEEP_SECONDS: Final = 0.25
PATIENCE: Final = 0.06
MAX_PATIENCE_SECONDS: Final = 0.003


class Overloaded(Exception):
    """The item would wait too long or the batcher is closing; ``retry_after`` is in seconds."""

    def __init__(self, reason: str, *, retry_after: int) -> None:
        super().__init__(reason)
        self.retry_after: Final = retry_after


class Expired(Exception):
    """No outcome within the time that an item may take."""


class _Waiting(Generic[Item, Result]):
    __slots__ = ("answer", "deadline", "item")

    def __init__(self, item: Item, answer: asyncio.Future[Result], deadline: float) -> None:
        self.item = item
        self.answer = answer
        self.deadline = deadline


class _Job(Generic[Item, Result]):
    __slots__ = ("entries", "loop", "started")

    def __init__(
        self, entries: list[_Waiting[Item, Result]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.entries = entries
        self.loop = loop
        self.started = loop.time()


class Batcher(Generic[Item, Result]):
    """Runs ``work`` on up to ``max_batch`` items at once, on ``lanes`` threads side by side.

    ``work`` gives one outcome an item, in order; an outcome that is an exception is raised to
    that item's caller alone. When ``work`` itself raises, every item of that batch is tried
    again by itself, so ``work`` must have no lasting effect before it raises.

    ``max_wait`` seconds is the target for waiting and work together. Batches are kept so small
    that one takes at most half of it, by the pace of the latest ones. An item is refused when
    ``max_queue`` items wait, or when more wait than the next batches take and the target would be
    missed: those that are accepted are then answered in time.
    One event loop uses a batcher; it needs no lock.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result | Exception]],
        *,
        max_batch: int,
        max_queue: int,
        on_batch: Callable[[int, float], None],
        lanes: int = 1,
        max_wait: float = math.inf,
        timeout: float = math.inf,
    ) -> None:
        """``on_batch`` hears the size and the seconds of every finished batch, on the loop.

        ``timeout`` is the most seconds from ``submit`` to an outcome, else ``Expired``.
        """
        self._work = work
        self._max_batch: Final = max_batch
        self._max_queue: Final = max_queue
        self._max_wait: Final = max_wait
        self._timeout: Final = timeout
        self._on_batch = on_batch
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._oldest: deque[_Waiting[Item, Result]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._lanes: Final = lanes
        self._jobs: SimpleQueue[_Job[Item, Result] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._lane, name=f"batch-{number}", daemon=True)
                         for number in range(lanes)]
        for thread in self._threads:
            thread.start()
        self._active = 0
        self._resting: Final = asyncio.Event()
        self._gathering: set[asyncio.Task[None]] = set()
        self._computing = 0
        self._busy = 0
        self._level = 0
        self._seconds_an_item = 0.0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it takes no more items."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Items in the queue, without those being worked on."""
        return len(self._queue)

    @property
    def alone(self) -> bool:
        """Whether at most one lane computes and nothing waits; any thread may ask."""
        return self._busy <= 1 and not self._queue

    @property
    def batch_limit(self) -> int:
        """Most items of a batch now."""
        if self._seconds_an_item * self._max_batch * 2 <= self._max_wait:
            return self._max_batch
        return max(1, int(self._max_wait / 2 / self._seconds_an_item))

    @property
    def expected_wait(self) -> float:
        """Seconds until an item submitted now would be done, by the pace of the latest batches."""
        return self._wait_behind(len(self._queue))

    def _wait_behind(self, waiting: int) -> float:
        return (waiting + self._computing + 1) * self._seconds_an_item / self._lanes

    def check(self, *, ahead: int = 0) -> None:
        """Refuse what ``submit`` would refuse, before work is put into it.

        ``ahead``: so many items will be submitted before it.

        Raises:
            Overloaded: too many wait already, or the batcher is closed.
        """
        if self._closed:
            raise Overloaded("the service is stopping", retry_after=1)
        waiting = len(self._queue) + ahead
        expected = self._wait_behind(waiting)
        if waiting >= self._max_queue or (
            waiting >= self._lanes * self.batch_limit and expected > self._max_wait
        ):
            seconds = min(max(math.ceil(expected), 1), 60)
            raise Overloaded(f"{waiting} images wait already", retry_after=seconds)

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """The result for ``item``, to be awaited. A cancelled one leaves the queue.

        Raises:
            Overloaded: too many wait already, or the batcher is closed.
            Expired: (awaited) no outcome in time.
            Exception: (awaited) what ``work`` gave or raised for this item.
        """
        self.check()
        loop = asyncio.get_running_loop()
        entry = _Waiting[Item, Result](item, loop.create_future(), loop.time() + self._timeout)
        self._queue.append(entry)
        self._oldest.append(entry)
        if self._sweep is None and self._timeout < math.inf:
            self._sweep = loop.call_later(SWEEP_SECONDS, self._expire)
        if self._active < self._lanes:
            self._active += 1
            # Not at once: what was read in the same turn goes along.
            loop.call_soon(self._go_on, loop)
        return entry.answer

    async def close(self, *, finish: bool = False) -> None:
        """Refuse what waits (or ``finish`` it too), finish what runs, stop the threads."""
        self._closed = True
        while self._queue and not finish:
            entry = self._queue.popleft()
            if not entry.answer.done():
                entry.answer.set_exception(Overloaded("the service is stopping", retry_after=1))
        while self._active:
            self._resting.clear()
            await self._resting.wait()
        if self._sweep is not None:
            self._sweep.cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give a free lane its next batch: at once, or when what is on its way is here.

        Plain calls: between a lone request and its answer each task would be one more turn.
        """
        if 0 < len(self._queue) < self._share():
            task = loop.create_task(self._gather(loop))
            self._gathering.add(task)
            task.add_done_callback(self._gathering.discard)
        else:
            self._launch(loop)

    async def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        await self._settle()
        self._launch(loop)

    def _launch(self, loop: asyncio.AbstractEventLoop) -> None:
        entries = self._take()
        if entries:
            self._computing, self._busy = self._computing + len(entries), self._busy + 1
            self._jobs.put(_Job[Item, Result](entries, loop))
        else:
            self._active -= 1
            self._resting.set()

    def _share(self) -> int:
        """A lane's part of what was here lately."""
        return min(math.ceil(self._level / self._lanes), self.batch_limit)

    async def _settle(self) -> None:
        """Wait for what is on its way, up to a lane's share of what was here lately.

        Answers that leave together bring requests that come together. A lane that took the first
        of them at once would compute it alone, and one that took them all would leave the others
        idle. It ends when a few percent of the share's own time bring nothing more; a request
        that is alone waits for nobody, as its share is one.
        """
        share = self._share()
        patience = min(PATIENCE * share * self._seconds_an_item, MAX_PATIENCE_SECONDS)
        seen = -1
        while seen < len(self._queue) < share:
            seen = len(self._queue)
            # Read in one turn of the loop, submitted in the next.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if len(self._queue) == seen:
                await asyncio.sleep(patience)

    def _take(self) -> list[_Waiting[Item, Result]]:
        """The next batch: at most a lane's share of all that wait or are computed."""
        share = math.ceil((len(self._queue) + self._computing) / self._lanes)
        size = min(share, self.batch_limit)
        batch: list[_Waiting[Item, Result]] = []
        while self._queue and len(batch) < size:
            entry = self._queue.popleft()
            if not entry.answer.done():
                batch.append(entry)
        return batch

    def _finish(self, job: _Job[Item, Result], outcomes: list[Result | Exception]) -> None:
        entries, size = job.entries, len(job.entries)
        seconds = job.loop.time() - job.started
        self._level = len(self._queue) + self._computing
        self._computing, self._busy = self._computing - size, self._busy - 1
        pace = seconds / size
        self._seconds_an_item += (0.2 if self._seconds_an_item else 1.0) * (
            pace - self._seconds_an_item
        )
        for entry, outcome in zip(entries, outcomes, strict=True):
            if entry.answer.done():
                continue
            if isinstance(outcome, Exception):
                entry.answer.set_exception(outcome)
            else:
                entry.answer.set_result(outcome)
        # Behind those who wait: they are scheduled already.
        job.loop.call_soon(self._on_batch, size, seconds)
        self._go_on(job.loop)

    def _lane(self) -> None:
        """Body of a thread. `concurrent.futures` would cost a lone item more than its decoding."""
        while (job := self._jobs.get()) is not None:
            outcomes = self._outcomes([entry.item for entry in job.entries])
            job.loop.call_soon_threadsafe(self._finish, job, outcomes)

    def _outcomes(self, items: list[Item]) -> list[Result | Exception]:
        try:
            return list(self._work(items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [outcome for item in items for outcome in self._outcomes([item])]

    def _expire(self) -> None:
        """Fail what has waited too long: one timer for all, as one for each would cost more."""
        loop = asyncio.get_running_loop()
        now, oldest = loop.time(), self._oldest
        while oldest and (oldest[0].answer.done() or oldest[0].deadline <= now):
            entry = oldest.popleft()
            if not entry.answer.done():
                entry.answer.set_exception(Expired("no answer in time"))
        self._sweep = loop.call_later(SWEEP_SECONDS, self._expire) if oldest else None
