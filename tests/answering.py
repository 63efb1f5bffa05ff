"""A program of others that answers over HTTP while a block runs."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx


@contextmanager
def answering(
    command: Sequence[str | Path], url: str, log: Path, *, cwd: Path,
    env: Mapping[str, str] | None = None, seconds: float = 120,
) -> Iterator[None]:
    """From when ``url`` answers with 2xx on; what it says goes to ``log``."""
    with log.open("wb") as said:
        server = subprocess.Popen(command, cwd=cwd, env=env, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + seconds
        while True:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                httpx.get(url, timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield
    finally:
        server.terminate()
        server.wait(30)
