"""Files read before they are asked for, by several threads, in order and within bounds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from resources.folders import KEPT_BYTES, Folder, read_file


def read_files(
    folder: Folder, paths: Sequence[str], *, threads: int, ahead: int = 512
) -> Iterator[bytes]:
    """Bytes of files in the given order, read by several threads.

    Up to ``ahead`` files and ``KEPT_BYTES`` are read early, and one more by each thread.

    Raises:
        FolderError: one can not be read.
    """
    waiting: deque[Future[bytes]] = deque()
    room = _Room(KEPT_BYTES)

    def read(number: int, path: str) -> bytes:
        room.wait(number)
        content = read_file(folder, path)
        room.enter(len(content))
        return content

    def take() -> bytes:
        content = waiting.popleft().result()
        room.leave(len(content))
        return content

    with ThreadPoolExecutor(threads, thread_name_prefix="read") as pool:
        try:
            for number, path in enumerate(paths):
                waiting.append(pool.submit(read, number, path))
                if len(waiting) > ahead:
                    yield take()
            while waiting:
                yield take()
        finally:
            for each in waiting:
                each.cancel()
            room.open_up()


class _Room:
    """Bytes that wait to be taken, in order; whoever is next never waits for room."""

    def __init__(self, budget: int) -> None:
        self._changed: Final = threading.Condition()
        self._left = budget
        self._next = 0

    def wait(self, number: int) -> None:
        """Until there is room, or everything before ``number`` was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._left > 0 or number <= self._next)

    def enter(self, size: int) -> None:
        """Bytes are there."""
        with self._changed:
            self._left -= size

    def leave(self, size: int) -> None:
        """The next were taken."""
        with self._changed:
            self._left += size
            self._next += 1
            self._changed.notify_all()

    def open_up(self) -> None:
        """Nobody will take any more."""
        with self._changed:
            self._left = 1 << 62
            self._changed.notify_all()
