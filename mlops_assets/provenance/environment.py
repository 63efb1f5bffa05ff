"""What a record says of the code and the machine. Unknown is an error, never "unknown"."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import sha256_file

COMMIT_VARIABLE = "MLOPS_CODE_COMMIT"
# Behind a stated commit: the code was taken from a tree that differs from it.
DIRTY = "-dirty"


class UnknownProvenance(PlatformError):
    """Something that a record must name can not be found out."""


@dataclass(frozen=True, slots=True)
class CodeState:
    """The commit that runs, whether the tree differs from it, and the lock file's hash."""

    commit: str
    dirty: bool
    lock_sha256: str


@dataclass(frozen=True, slots=True)
class Hardware:
    """What can change the bits of a floating-point result."""

    machine: str
    cpu: str
    threads: int
    device: str


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except FileNotFoundError as error:
        raise UnknownProvenance(
            f"the code commit of {root} is unknown: git is not installed; "
            f"install git or set {COMMIT_VARIABLE}"
        ) from error
    except subprocess.CalledProcessError as error:
        raise UnknownProvenance(
            f"the code commit of {root} is unknown: {error.stderr.strip()}; "
            f"run from a git checkout with a commit, or set {COMMIT_VARIABLE}"
        ) from error
    return done.stdout.strip()


def _lock_hash(root: Path) -> str:
    lock = root / "requirements.lock"
    if not lock.is_file():
        raise UnknownProvenance(f"there is no {lock}; run `make lock`")
    return sha256_file(lock)


def read_checkout(root: Path) -> CodeState:
    """What git says of the checkout at ``root``, and its lock's hash.

    Raises:
        UnknownProvenance: no commit, no git, or no ``requirements.lock``.
    """
    lock_sha256 = _lock_hash(root)
    commit = _git(root, "rev-parse", "HEAD")
    dirty = bool(_git(root, "status", "--porcelain"))
    return CodeState(commit=commit, dirty=dirty, lock_sha256=lock_sha256)


def read_code_state(root: Path) -> CodeState:
    """Read commit, dirty flag and lock hash of the checkout at ``root``.

    ``MLOPS_CODE_COMMIT`` names the commit where the code runs without its repository (an image).

    Raises:
        UnknownProvenance: no commit, no git, or no ``requirements.lock``.
    """
    if stated := os.environ.get(COMMIT_VARIABLE):
        return CodeState(
            commit=stated.removesuffix(DIRTY), dirty=stated.endswith(DIRTY),
            lock_sha256=_lock_hash(root))
    return read_checkout(root)


@cache
def cpu_model() -> str:
    """The processor's model name with its family and stepping, as the kernel gives it.

    Raises:
        UnknownProvenance: neither the kernel nor the platform names a processor.
    """
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        fields: dict[str, str] = {}
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        names = ("model name", "cpu family", "model", "stepping")
        if described := " ".join(f"{fields[name]}" for name in names if name in fields):
            return described
    if name := platform.processor():
        return name
    raise UnknownProvenance("the processor's model is unknown on this platform")


def read_hardware(*, threads: int, device: str) -> Hardware:
    """Describe this machine with the thread count and device that the step uses."""
    return Hardware(
        machine=platform.machine(), cpu=cpu_model(), threads=threads, device=device
    )
