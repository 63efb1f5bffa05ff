"""Who computes a step's many equal pieces: threads of this process, or an existing Ray cluster.

A piece goes to a function that a loader makes: in this process once, on Ray once in each worker.
Results come in the order of the pieces, and a few are made ahead, so neither side fills memory.
What is computed does not depend on who computes it.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from mlops_assets.config import ComputeSettings
from mlops_assets.contracts.errors import PlatformError

AHEAD: Final = 4  # pieces for each worker
CONNECT_SECONDS: Final = 5.0
RETRIES: Final = 3  # of a piece whose machine is gone
_WORK: Final[dict[str, Callable[[Any], Any]]] = {}
Piece = TypeVar("Piece")
Result = TypeVar("Result")


class EngineError(PlatformError):
    """The distributed engine is not installed, or there is no cluster."""


class Engine(Protocol):
    """Computes pieces side by side."""

    def run(
        self, load: Callable[[], Callable[[Piece], Result]], pieces: Iterable[Piece]
    ) -> Iterator[Result]:
        """Results in the order of the pieces; the first error ends the work.

        Raises:
            EngineError: the engine is not there.
        """


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process; 0 means one for each core that it may use."""

    count: int = 0

    def run(
        self, load: Callable[[], Callable[[Piece], Result]], pieces: Iterable[Piece]
    ) -> Iterator[Result]:
        """See ``Engine``."""
        work, threads = load(), self.count or usable_cores()
        waiting: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(threads, thread_name_prefix="piece")
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                if len(waiting) > AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Ray:
    """Tasks on a Ray cluster whose machines have this project and see the platform's home.

    ``address`` is that of ``ray.init``. A piece whose machine is lost is computed by another.
    """

    address: str = "auto"

    def run(
        self, load: Callable[[], Callable[[Piece], Result]], pieces: Iterable[Piece]
    ) -> Iterator[Result]:
        """See ``Engine``."""
        ray = _connected(self.address)
        compute = ray.remote(num_cpus=1, max_retries=RETRIES)(_compute)
        key, loader = secrets.token_hex(8), ray.put(load)
        most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting: deque[Any] = deque()
        try:
            for piece in pieces:
                waiting.append(compute.remote(key, loader, piece))
                if len(waiting) > most:
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        finally:
            for each in waiting:
                ray.cancel(each)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def build_engine(settings: ComputeSettings, *, threads: int) -> Engine:
    """The engine that is configured; ``threads`` are of the one in this process."""
    return Ray(settings.address) if settings.engine == "ray" else Threads(threads)


def _connected(address: str) -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise EngineError("`engine: ray` in configs/compute.yaml needs Ray: install the extra "
                          "`mlops-assets[ray]`") from error
    if not ray.is_initialized():
        try:
            _knock(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (OSError, ValueError) as error:
            raise EngineError(f"there is no Ray cluster at `{address}` ({error}); start one with "
                              "`ray start --head`, or set `engine: local` in configs/compute.yaml"
                              ) from error
    return ray


def _knock(address: str) -> None:
    """Ray itself would try for minutes to reach a head that is not there."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _compute(key: str, load: Callable[[], Callable[[Any], Any]], piece: Any) -> Any:
    """One piece, in a worker; what was loaded for earlier work is let go."""
    if key not in _WORK:
        _WORK.clear()
        _WORK[key] = load()
    return _WORK[key](piece)
