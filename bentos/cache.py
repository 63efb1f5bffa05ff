"""Computed answers by (image hash, program hash): in this process, and in Redis for all of them.

Never across models: the program's hash is part of the key. A kept answer is what the program
gave, without request, slot or time, so a hit still gets an id and a journal record of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from typing import Any, Final, Protocol

import orjson
from cachetools import LRUCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bentos import metrics
from bentos.computed import Computed
from mlops_assets.contracts.image_statistics import ImageStatistics

logger = logging.getLogger("bentos.cache")
REDIS_SECONDS: Final = 0.05
PAUSE_SECONDS: Final = 5.0
Key = tuple[str, str]


class Store(Protocol):
    """What the cache needs of a Redis client."""

    def get(self, name: str, /) -> Awaitable[Any]:
        """The value, or None."""

    def set(self, name: str, value: bytes, /, *, ex: int) -> Awaitable[Any]:
        """Keep the value for ``ex`` seconds."""

    async def aclose(self) -> None:
        """Close the connections."""


class AnswerCache:
    """Least recently used answers. One event loop uses it."""

    def __init__(self, *, entries: int, redis: Store | None = None, seconds: int = 3600) -> None:
        self._kept: Final[LRUCache[Key, Computed] | None] = (
            LRUCache(maxsize=entries) if entries else None
        )
        self._redis: Final = redis
        self._seconds: Final = seconds
        self._paused_until = 0.0
        self._hit = metrics.CACHE.labels("process", "hit")
        self._miss = metrics.CACHE.labels("process", "miss")

    @property
    def enabled(self) -> bool:
        """Whether it keeps anything."""
        return self._kept is not None or self._redis is not None

    def get(self, image: str, program: str) -> Computed | None:
        """What this process keeps."""
        if self._kept is None:
            return None
        found: Computed | None = self._kept.get((image, program))
        (self._miss if found is None else self._hit).inc()
        return found

    @property
    def shared(self) -> bool:
        """Whether ``fetch`` can find anything."""
        return self._redis is not None and time.monotonic() >= self._paused_until

    async def fetch(self, image: str, program: str) -> Computed | None:
        """What Redis keeps; nothing while it does not answer, and it is left alone for 5 s."""
        if self._redis is None:
            return None
        try:
            value = await self._redis.get(_name(image, program))
        except (RedisError, OSError, TimeoutError):
            self._pause()
            return None
        metrics.CACHE.labels("redis", "miss" if value is None else "hit").inc()
        if value is None:
            return None
        found = _decode(value)
        self.keep(image, program, found)
        return found

    def keep(self, image: str, program: str, computed: Computed) -> None:
        """Keep an answer in this process."""
        if self._kept is not None:
            self._kept[image, program] = computed

    async def share(self, image: str, program: str, computed: Computed) -> None:
        """Keep an answer in Redis."""
        if self._redis is None or not self.shared:
            return
        try:
            await self._redis.set(_name(image, program), _encode(computed), ex=self._seconds)
        except (RedisError, OSError, TimeoutError):
            self._pause()

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            await self._redis.aclose()

    def _pause(self) -> None:
        metrics.CACHE.labels("redis", "fault").inc()
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        logger.warning("Redis does not answer; no shared cache for %g s", PAUSE_SECONDS)


def open_redis(url: str, *, seconds: float = REDIS_SECONDS) -> Store:
    """A client that gives up after ``seconds``: computing again is faster than waiting."""
    client: Store = Redis.from_url(
        url, socket_timeout=seconds, socket_connect_timeout=seconds
    )
    return client


def _name(image: str, program: str) -> str:
    return f"mlops:answer-2:{program}:{image}"


def _encode(computed: Computed) -> bytes:
    return orjson.dumps([
        computed.label, computed.confidence, computed.shares.decode(), computed.embedding,
        list(computed.pixels), computed.novelty,
    ])


def _decode(value: bytes) -> Computed:
    label, confidence, shares, embedding, pixels, novelty = orjson.loads(value)
    return Computed(label, confidence, shares.encode(), embedding, ImageStatistics(*pixels),
                    novelty)
