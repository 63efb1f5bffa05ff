"""Server-sent events: a page hears within a second that something changed, and asks anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from fastapi import HTTPException

from ui.server.world import World

LISTENERS: Final = 100
QUIET_SECONDS: Final = 10.0
GATHER_SECONDS: Final = 0.5


class Stream:
    """Tells every listener of changes, at most twice a second."""

    def __init__(self, world: World) -> None:
        self._listeners: set[asyncio.Event] = set()
        self._changed: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        for source in world.sources:
            source.changed = self._tell

    def begin(self) -> None:
        """Called once in the event loop that serves."""
        self._loop = asyncio.get_running_loop()

    def _tell(self, _name: str) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def listen(self) -> AsyncIterator[bytes]:
        """Events for one page, for as long as it listens.

        Raises:
            HTTPException: 503 when too many listen.
        """
        if len(self._listeners) >= LISTENERS:
            raise HTTPException(503, "too many pages listen", {"retry-after": "10"})
        changed = asyncio.Event()
        self._listeners.add(changed)
        try:
            yield _event()
            while True:
                try:
                    await asyncio.wait_for(changed.wait(), QUIET_SECONDS)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                await asyncio.sleep(GATHER_SECONDS)
                changed.clear()
                yield _event()
        finally:
            self._listeners.discard(changed)


def _event() -> bytes:
    body = json.dumps({"at": datetime.now(UTC).isoformat()})
    return f"event: loop\ndata: {body}\n\n".encode()
