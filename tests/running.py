"""Starts a built bento as its own process group, and leaves none of it behind."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.releases.bento import build_bento
from tests.model_dir import write_model_dir

READY_SECONDS = 90
ROOT = Path(__file__).parents[1]
SPEC = PixelSpec(height=28, width=28, channels=1)


@dataclass(frozen=True)
class Running:
    """A service that answers ``/readyz``; ``home`` is its ``PLATFORM_HOME``."""

    client: httpx.Client
    server: int
    home: Path

    @property
    def journal(self) -> Path:
        """Where it journals."""
        return self.home / "journal"

    def workers(self) -> list[psutil.Process]:
        """The processes that hold the model."""
        return [p for p in members(self.home) if p.pid != self.server]


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def members(home: Path) -> list[psutil.Process]:
    """Live processes with this ``PLATFORM_HOME``: BentoML gives its workers own sessions."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PLATFORM_HOME") == str(home):
                found.append(process)
    return found


def wait_ready(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when ``/readyz`` is 200; fail with the log when the server ends or is too late."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready (exit {server.poll()}):\n{log.read_text()[-4000:]}")


@contextlib.contextmanager
def serving(tag: str, home: Path, folder: Path, **environment: str) -> Iterator[Running]:
    """``bentoml serve TAG`` on a free loopback port until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    port, log = free_port(), folder / "serve.log"
    variables = os.environ | {
        "BENTOML_HOME": str(home),
        "PLATFORM_HOME": str(folder / ".platform"),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLOPS_SERVICE_AUTH": "off",
        **environment,
    }
    command = [sys.executable, "-m", "bentoml", "serve", tag]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=output, stderr=output, start_new_session=True
        )
    home = folder / ".platform"
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_ready(client, server, log)
            yield Running(client, server.pid, home)
    finally:
        server.terminate()
        try:
            server.wait(20)
        finally:
            stay = psutil.wait_procs(members(home), timeout=10)[1]
            for process in stay:
                process.kill()
    assert not stay, f"left running: {stay}"


@contextlib.contextmanager
def serving_built(folder: Path, **environment: str) -> Iterator[Running]:
    """The model in ``folder / "model"``, built into a bento and served."""
    tag = build_bento(folder / "model", bentoml_home=folder / ".home", project_root=ROOT).tag
    with serving(tag, folder / ".home", folder / "run", **environment) as running:
        yield running


@contextlib.contextmanager
def serving_tiny(folder: Path, **environment: str) -> Iterator[Running]:
    """The bento of a tiny model of shape ``SPEC``, built and served."""
    write_model_dir(folder / "model", pixels=SPEC)
    with serving_built(folder, **environment) as running:
        yield running
