"""Rate limits: sliding windows, counted in this process or, for several, in Redis.

``limits`` parses rates and counts in Redis. Its own storage in memory is not used: at every hit
the asynchronous one starts a task that visits every caller, and the other one starts a thread.
``LocalRates`` does the same arithmetic in constant time.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final, Protocol

from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool

from bentos.notices import Notice

MAX_WINDOWS: Final = 20_000
SWEEP_SECONDS: Final = 1.0
SHORTEST: Final = 1e-3
REDIS_CONNECTIONS: Final = 16
REDIS_SECONDS: Final = 0.5
REDIS_PAUSE: Final = 1.0


def seconds_to_wait(rate: RateLimitItem, *, previous: int, current: int, left: float) -> float:
    """More than 0: how long a full sliding window stays full, if nothing else is counted.

    ``previous`` and ``current`` are the counts of two windows; the current one has ``left``
    seconds to go. The weighted count is ``previous * left / seconds + current``.
    """
    seconds = rate.get_expiry()
    if current >= rate.amount:
        wait = left + seconds * (1 - rate.amount / current)
    else:
        wait = left - (rate.amount - current) * seconds / max(previous, 1)
    return max(wait, SHORTEST)


class Rates(Protocol):
    """Counts requests."""

    async def hit(self, who: str, rate: RateLimitItem) -> float:
        """Count one request: 0, or the seconds to wait for one that is refused and not counted."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


@dataclass(slots=True)
class _Window:
    index: float = -math.inf
    ends: float = math.inf
    previous: int = 0
    current: int = 0


class LocalRates:
    """``Rates`` of this process alone, of the last ``MAX_WINDOWS`` callers. Never waits."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._sweep_at = -math.inf

    async def hit(self, who: str, rate: RateLimitItem) -> float:
        """See ``Rates``."""
        seconds, now = rate.get_expiry(), time.monotonic()
        index = now // seconds
        window = self._windows.get(who) or self._add(who, now)
        if window.index != index:
            window.previous = window.current if window.index == index - 1 else 0
            window.current = 0
            window.index = index
            window.ends = (index + 2) * seconds
        left = (index + 1) * seconds - now
        if window.previous * left / seconds + window.current < rate.amount:
            window.current += 1
            return 0.0
        return seconds_to_wait(rate, previous=window.previous, current=window.current, left=left)

    async def close(self) -> None:
        """Nothing to give back."""

    def _add(self, who: str, now: float) -> _Window:
        if len(self._windows) >= MAX_WINDOWS and now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            live = {name: each for name, each in self._windows.items() if each.ends > now}
            self._windows = live
        if len(self._windows) >= MAX_WINDOWS:
            del self._windows[next(iter(self._windows))]
        window = self._windows[who] = _Window()
        return window


class SharedRates:
    """``Rates`` of every process on one Redis; while that is away, each counts by itself."""

    def __init__(self, url: str) -> None:
        """``url`` is redis://, rediss:// or unix://."""
        self._pool = BlockingConnectionPool.from_url(
            url, max_connections=REDIS_CONNECTIONS, timeout=REDIS_SECONDS,
            socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS,
        )
        self._storage = RedisStorage(
            "redis://", wrap_exceptions=True, implementation="redispy", key_prefix="mlops",
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._local = LocalRates()
        self._back_at = -math.inf
        self._away = Notice("Redis does not answer, so each process limits by itself: %s")

    async def hit(self, who: str, rate: RateLimitItem) -> float:
        """See ``Rates``."""
        if time.monotonic() < self._back_at:
            return await self._local.hit(who, rate)
        key, seconds = rate.key_for(who), rate.get_expiry()
        try:
            if await self._storage.acquire_sliding_window_entry(key, rate.amount, seconds):
                return 0.0
            previous, _, current, lives = await self._storage.get_sliding_window(key, seconds)
        except StorageError as error:
            self._back_at = time.monotonic() + REDIS_PAUSE
            self._away.warn(error.storage_error)
            return await self._local.hit(who, rate)
        left = max(lives - seconds, 0.0)
        return seconds_to_wait(rate, previous=previous, current=current, left=left)

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.aclose()
