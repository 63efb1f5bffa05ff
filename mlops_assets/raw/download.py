"""Ways to bring a dataset from elsewhere: torchvision's mirrors and a Debian package."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

START_SECONDS: Final = 120.0
STALL_SECONDS: Final = 8.0
APT_SECONDS: Final = 120.0


class DownloadError(Exception):
    """One source did not give the files; the next one is tried."""


# Imports torchvision before the clock of the stall limit starts: on a slow disk that takes longer
# than any mirror needs to answer.
_DOWNLOAD: Final = """
import socket, sys
from torchvision import datasets
print("ready", flush=True)
socket.setdefaulttimeout(5)
getattr(datasets, sys.argv[1])(sys.argv[2], download=True)
"""


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _watch(process: subprocess.Popen[str], folder: Path, output: Path) -> None:
    """Wait for a download; stop it when no byte arrives for ``STALL_SECONDS``."""
    seen, moved, started = -1, time.monotonic(), time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        now, size = time.monotonic(), _bytes_below(folder)
        ready = output.stat().st_size > 0
        if size != seen or not ready:
            seen, moved = size, now
        limit = STALL_SECONDS if ready else START_SECONDS
        if now - (moved if ready else started) > limit:
            process.kill()
            raise DownloadError(f"no byte arrived for {limit:.0f} s")


def download_by_torchvision(name: str, folder: Path) -> None:
    """Let torchvision download into an empty folder.

    It runs in a process of its own, so that neither a silent mirror nor a name server holds us.

    Raises:
        DownloadError: no mirror answers, or what it gave is not the dataset.
    """
    output, messages = folder.with_suffix(".out"), folder.with_suffix(".err")
    with output.open("w") as out, messages.open("w") as errors:
        command = [sys.executable, "-c", _DOWNLOAD, name, str(folder)]
        process = subprocess.Popen(command, stdout=out, stderr=errors, text=True)
        try:
            _watch(process, folder, output)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        lines = [line.strip() for line in messages.read_text().splitlines() if line.strip()]
        raise DownloadError(lines[-1] if lines else f"exit status {process.returncode}")


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=APT_SECONDS
        )
    except FileNotFoundError as error:
        raise DownloadError(f"this machine has no `{command[0]}`") from error
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"`{command[0]}` took longer than {APT_SECONDS:.0f} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or "").splitlines() if line.startswith("E:")]
        said = lines[0] if lines else f"exit status {error.returncode}"
        raise DownloadError(f"`{' '.join(command[:2])}`: {said.removeprefix('E: ')}") from error


def _private_apt(folder: Path) -> list[str]:
    """Options that give apt lists and a cache of our own, so that no root is needed."""
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return [
        "-o", f"Dir::State={folder}/state", "-o", f"Dir::State::lists={folder}/state/lists",
        "-o", "Dir::State::status=/var/lib/dpkg/status", "-o", f"Dir::Cache={folder}/cache",
        "-o", "Debug::NoLocking=true", "-o", "APT::Sandbox::User=",
        "-o", "APT::Update::Post-Invoke=", "-o", "Acquire::http::Timeout=10",
    ]


def unpack_debian_package(package: str, folder: Path, log: Callable[[str], None]) -> None:
    """Download a Debian package and unpack it into ``folder``; nothing is installed.

    Works without root: where the machine has no package lists, apt is given private ones.

    Raises:
        DownloadError: not a Debian machine, no network, or no such package.
    """
    aside = folder.with_suffix(".apt")
    aside.mkdir()
    try:
        _run(["apt-get", "download", package], aside)
    except DownloadError as failure:
        if shutil.which("apt-get") is None:
            raise
        log(f"{failure}; reading the package lists without root")
        options = _private_apt(aside)
        _run(["apt-get", "update", *options], aside)
        _run(["apt-get", "download", *options, package], aside)
    archive = next(aside.glob("*.deb"), None)
    if archive is None:
        raise DownloadError(f"`apt-get download {package}` left no package")
    _run(["dpkg", "-x", str(archive), str(folder)], aside)
