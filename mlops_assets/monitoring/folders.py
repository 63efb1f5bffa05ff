"""Folders of images to score, on a local disk or behind any fsspec URL."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import sha256_bytes, sha256_json

# Files a task: handing over each by itself would cost more than reading it.
BLOCK: Final = 128
KEPT_BYTES: Final = 256 << 20
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class ScoringError(PlatformError):
    """A folder can not be scored: it is missing, empty, unreadable, or changed meanwhile."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as it was when the folder was listed; ``path`` is relative to the folder."""

    path: str
    size: int
    sha256: str


class Folder(Protocol):
    """A place with files. ``read`` is called from several threads."""

    def paths(self) -> list[str]:
        """Relative paths of all files, sorted; hidden files and folders are left out."""

    def read(self, path: str) -> bytes:
        """Bytes of one of them."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on a disk. Links to files are followed, links to folders and devices are not."""

    root: Path

    def paths(self) -> list[str]:
        """See ``Folder``."""
        found: list[str] = []
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            with os.scandir(f"{self.root}/{inside}") as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{inside}{entry.name}/")
                    elif entry.is_file() or (entry.is_symlink() and not entry.is_dir()):
                        found.append(inside + entry.name)
        return sorted(found)

    def read(self, path: str) -> bytes:
        """See ``Folder``. Bare system calls: a file object takes half as long again."""
        handle = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            size, parts = os.fstat(handle).st_size + 1, []
            while part := os.read(handle, size):
                parts.append(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(handle)


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder of an fsspec file system."""

    system: Any
    root: str

    def paths(self) -> list[str]:
        """See ``Folder``."""
        start = len(self.root.rstrip("/")) + 1
        found = [str(path)[start:] for path in self.system.find(self.root)]
        return sorted(path for path in found if path and not f"/{path}".count("/."))

    def read(self, path: str) -> bytes:
        """See ``Folder``."""
        return bytes(self.system.cat_file(f"{self.root.rstrip('/')}/{path}"))


class Kept:
    """A folder whose files are fetched once: what ``read`` gave is given once more.

    Listing a folder reads it, scoring it reads it again. Up to ``budget`` bytes are held between.
    """

    def __init__(self, folder: Folder, *, budget: int = KEPT_BYTES) -> None:
        self._folder: Final = folder
        self._left = budget
        self._held: dict[str, bytes] = {}
        self._lock: Final = threading.Lock()

    def paths(self) -> list[str]:
        """See ``Folder``."""
        return self._folder.paths()

    def read(self, path: str) -> bytes:
        """See ``Folder``."""
        with self._lock:
            held = self._held.pop(path, None)
            if held is not None:
                self._left += len(held)
                return held
        content = self._folder.read(path)
        with self._lock:
            if len(content) <= self._left:
                self._left -= len(content)
                self._held[path] = content
        return content


def open_folder(root: str, name: str, *, base: Path) -> Folder:
    """The folder ``name`` below ``root``, which is a URL or a path (a relative one below ``base``).

    Raises:
        ScoringError: no such folder, a name that is no folder's, or a file system whose client is
            not installed.
    """
    if not NAME.fullmatch(name):
        raise ScoringError(f"`{name}` is no name of a folder to score; use letters, digits, . _ -")
    if "://" not in root:
        place = base / root / name
        if not place.is_dir():
            raise ScoringError(f"there is no folder {place}; see `root` in configs/scoring.yaml")
        return LocalFolder(place)
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(f"{root.rstrip('/')}/{name}")
        if not system.isdir(path):
            raise ScoringError(f"there is no {root}/{name}; see `root` in configs/scoring.yaml")
    except (ImportError, ValueError, OSError) as error:
        raise ScoringError(f"{root} can not be opened: {_one_line(error)}") from error
    return RemoteFolder(system, path)


def list_files(folder: Folder, *, threads: int) -> list[Listed]:
    """Every file with its size and hash: what identifies the folder's content.

    Raises:
        ScoringError: there is no file, or one can not be read.
    """
    def describe(some: Sequence[str]) -> list[Listed]:
        contents = ((path, read_file(folder, path)) for path in some)
        return [Listed(path, len(each), sha256_bytes(each)) for path, each in contents]

    try:
        paths = folder.paths()
    except OSError as error:
        raise ScoringError(f"the folder can not be listed: {_one_line(error)}") from error
    if not paths:
        raise ScoringError("the folder holds no file to score")
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    with ThreadPoolExecutor(threads, thread_name_prefix="list") as pool:
        return [listed for block in pool.map(describe, blocks) for listed in block]


def hash_listing(files: Sequence[Listed]) -> str:
    """One hash of a listing: equal for equal paths and bytes."""
    return sha256_json([[show_path(file.path), file.size, file.sha256] for file in files])


def read_file(folder: Folder, path: str) -> bytes:
    """Bytes of one file.

    Raises:
        ScoringError: it can not be read.
    """
    try:
        return folder.read(path)
    except OSError as error:
        raise ScoringError(f"`{show_path(path)}` can not be read: {_one_line(error)}") from error


def show_path(path: str) -> str:
    """A path as text; bytes of a file name that are no UTF-8 become escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
