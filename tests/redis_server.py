"""A real Redis server on a free loopback port: the system's, else Debian's package."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import redis

from mlops_assets.config import PROJECT_ROOT
from tests.running import free_port

READY_SECONDS = 20


@cache
def redis_binary() -> str:
    """The path of a ``redis-server``; fetched once where the machine has none."""
    script, folder = PROJECT_ROOT / "deploy" / "redis.sh", PROJECT_ROOT / ".venv" / "redis"
    done = subprocess.run(
        [str(script), str(folder)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Redis:
    """A server on a port of its own, which can be killed and started again.

    ``keep``: what it acknowledged is there again after a kill (an append-only file).
    """

    folder: Path
    port: int = field(default_factory=free_port)
    keep: bool = False
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self.folder / "redis.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [redis_binary(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
                 str(self.folder), "--save", "", "--appendonly", "yes" if self.keep else "no"],
                stdout=output, stderr=output)
        with redis.Redis.from_url(self.url) as client:
            until = time.monotonic() + READY_SECONDS
            while time.monotonic() < until and self._process.poll() is None:
                try:
                    client.ping()
                    return
                except (redis.ConnectionError, redis.BusyLoadingError):
                    time.sleep(0.05)
        raise AssertionError(f"Redis does not answer:\n{log.read_text()}")

    def kill(self) -> None:
        """End it at once, as a lost machine would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(20)


@contextmanager
def redis_server(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """The URL of a server that keeps nothing; it ends with the block."""
    server = Redis(folder, port or free_port())
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
