"""A real Redis server on a free loopback port: the system's, else Debian's package."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def redis_server(folder: Path, *, port: int | None = None) -> Iterator[str]:
    """The URL of a server that keeps nothing; it ends with the block."""
    port = port or free_port()
    command = [redis_binary(), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    log = folder / "redis.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no"], stdout=output, stderr=output
        )
    try:
        url = f"redis://127.0.0.1:{port}"
        with redis.Redis.from_url(url) as client:
            _wait(client, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _wait(client: redis.Redis, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            time.sleep(0.05)
    raise AssertionError(f"Redis does not answer:\n{log.read_text()}")
