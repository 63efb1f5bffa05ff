"""Folders of files, on a local disk, in an archive, or behind any fsspec URL."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from mlops_assets.contracts.errors import FolderError
from mlops_assets.provenance.hashing import sha256_bytes, sha256_json
from resources.archives import ARCHIVES, MOST_BYTES, Archive

# Files a task: handing over each by itself would cost more than reading it.
BLOCK: Final = 128
KEPT_BYTES: Final = 256 << 20
# A link may lead to a pipe, whose opening would wait for a writer.
FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What an object store tells of a file's content without reading it, the surest first.
MARKS: Final = ("ETag", "etag", "md5Hash", "content_md5", "checksum", "CRC", "chksum",
                "LastModified", "last_modified", "mtime", "created")


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

    def mark(self) -> dict[str, str]:
        """For each path what changes when its content does, told without reading it."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on a disk.

    Links to files below it are followed, links to folders and devices are not: a loop ends, and
    a device is never opened. A link that leads outside is refused when it is read.
    """

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
        """See ``Folder``. Bare system calls: a file object takes half as long again.

        Raises:
            OSError: it can not be read, or is a link that leads outside.
        """
        name = Path(f"{self.root}/{path}")
        try:
            handle = os.open(name, FLAGS | os.O_NOFOLLOW)
        except OSError:
            if not name.is_symlink():
                raise
            if not name.resolve().is_relative_to(self.root.resolve()):
                raise PermissionError(f"is a link that leads out of {self.root}") from None
            handle = os.open(name, FLAGS)
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode):
                raise PermissionError("is no plain file")
            if about.st_size > MOST_BYTES:
                raise OSError(f"has {about.st_size} bytes; at most {MOST_BYTES}")
            size, parts = about.st_size + 1, []
            while part := os.read(handle, size):
                parts.append(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        finally:
            os.close(handle)

    def mark(self) -> dict[str, str]:
        """See ``Folder``: size, time of change and inode."""
        found = {}
        for path in self.paths():
            place = Path(f"{self.root}/{path}")
            about = place.stat() if place.exists() else place.lstat()
            found[path] = f"{about.st_size}-{about.st_mtime_ns}-{about.st_ino}"
        return found


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A folder of an fsspec file system."""

    system: Any
    root: str

    def paths(self) -> list[str]:
        """See ``Folder``."""
        return sorted(self._inside(self.system.find(self.root)).values())

    def read(self, path: str) -> bytes:
        """See ``Folder``."""
        return bytes(self.system.cat_file(f"{self.root.rstrip('/')}/{path}"))

    def mark(self) -> dict[str, str]:
        """See ``Folder``: the size, and the first of ``MARKS`` that the file system has.

        Of one that tells none of them it is the hash of the content.
        """
        found = self.system.find(self.root, detail=True)
        return {path: self._mark(path, found[name])
                for name, path in sorted(self._inside(found).items())}

    def _mark(self, path: str, about: Mapping[str, Any]) -> str:
        known = next((key for key in MARKS if about.get(key) is not None), None)
        if known is None:
            return sha256_bytes(self.read(path))
        return f"{about.get('size')}-{about[known]}"

    def names(self) -> list[str]:
        """Names of the folders in it, sorted; hidden ones are left out."""
        found = [str(each["name"]).rstrip("/").rpartition("/")[2]
                 for each in self.system.ls(self.root, detail=True)
                 if each["type"] == "directory"]
        return sorted(name for name in found if not name.startswith("."))

    def _inside(self, names: Any) -> dict[str, str]:
        """Relative path by name, without what is hidden."""
        start = len(self.root.rstrip("/")) + 1
        found = {str(name): str(name)[start:] for name in names}
        return {name: path for name, path in found.items()
                if path and not f"/{path}".count("/.")}


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

    def __reduce__(self) -> tuple[type[Kept], tuple[Folder]]:
        """Another process reads for itself."""
        return Kept, (self._folder,)

    def mark(self) -> dict[str, str]:
        """See ``Folder``."""
        return self._folder.mark()

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


def is_remote(root: str) -> bool:
    """Whether a root is a URL of fsspec's and not a path."""
    return "://" in root


def open_root(root: str, *, base: Path, setting: str) -> Folder:
    """A folder by path (a relative one below ``base``), by URL, or a ``.zip`` or ``.tar`` file.

    ``setting`` says where the root is set, for the message of an error.

    Raises:
        FolderError: there is no such folder, it may not be read, or the client of its file system
            is not installed.
    """
    if not is_remote(root):
        place = base / root
        if place.suffix in ARCHIVES and place.is_file():
            return Archive(place)
        if not place.is_dir():
            raise FolderError(f"there is no folder {place}; see {setting}")
        return LocalFolder(place)
    folder, there = _open_remote(root, setting)
    if not there:
        raise FolderError(f"there is no {root}; see {setting}")
    return folder


def _open_remote(root: str, setting: str, *, above: bool = False) -> tuple[RemoteFolder, bool]:
    """A folder behind a URL and whether it, or the bucket ``above`` it, is there."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(root)
        # A listing kept from before hides what has come since.
        system.invalidate_cache()
        there = system.isdir(path.lstrip("/").partition("/")[0] if above else path)
    except (ImportError, ValueError, OSError) as error:
        raise FolderError(f"{root} can not be opened: {one_line(error)}; see {setting}") from error
    except Exception as error:
        # The clients of object stores have errors of their own for missing or expired credentials.
        if not is_of_a_client(error):
            raise
        raise FolderError(f"{root} can not be opened: {one_line(error)}; see {setting} and the "
                          "credentials of its file system") from error
    return RemoteFolder(system, path), there


def is_of_a_client(error: Exception) -> bool:
    """Whether an error is one of a client of an object store, which have no common base."""
    package = type(error).__module__.partition(".")[0]
    return package in {"botocore", "aiobotocore", "google", "gcsfs", "azure", "aiohttp"}


def list_names(root: str, *, base: Path, setting: str) -> list[str]:
    """Names of the folders in a root, sorted; hidden ones and links are left out.

    Raises:
        FolderError: see ``open_root``.
    """
    if is_remote(root):
        remote, there = _open_remote(root, setting)
        # An object store has no empty folders: one that was emptied is gone, its bucket is not.
        if not there and not _open_remote(root, setting, above=True)[1]:
            raise FolderError(f"there is no {root}; see {setting}")
        return remote.names() if there else []
    folder = open_root(root, base=base, setting=setting)
    if isinstance(folder, LocalFolder):
        return sorted(each.name for each in os.scandir(folder.root)
                      if each.is_dir(follow_symlinks=False) and not each.name.startswith("."))
    raise FolderError(f"{root} is an archive, which has no folders to come; see {setting}")


def open_folder(root: str, name: str, *, base: Path, setting: str) -> Folder:
    """The folder ``name`` below ``root``; see ``open_root``.

    Raises:
        FolderError: no such folder, or a name that is no folder's.
    """
    if not NAME.fullmatch(name):
        raise FolderError(f"`{name}` is no name of a folder; use letters, digits, . _ -")
    return open_root(f"{root.rstrip('/')}/{name}", base=base, setting=setting)


def list_files(folder: Folder, *, threads: int) -> list[Listed]:
    """Every file with its size and hash: what identifies the folder's content.

    Raises:
        FolderError: there is no file, or one can not be read.
    """
    def describe(some: Sequence[str]) -> list[Listed]:
        contents = ((path, read_file(folder, path)) for path in some)
        return [Listed(path, len(each), sha256_bytes(each)) for path, each in contents]

    paths = list_paths(folder)
    if not paths:
        raise FolderError("the folder holds no file")
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    with ThreadPoolExecutor(threads, thread_name_prefix="list") as pool:
        return [listed for block in pool.map(describe, blocks) for listed in block]


def list_paths(folder: Folder) -> list[str]:
    """Paths of all files, sorted.

    Raises:
        FolderError: the folder can not be listed.
    """
    try:
        return folder.paths()
    except OSError as error:
        raise FolderError(f"the folder can not be listed: {one_line(error)}") from error


def hash_listing(files: Sequence[Listed]) -> str:
    """One hash of a listing: equal for equal paths and bytes."""
    return sha256_json([[show_path(file.path), file.size, file.sha256] for file in files])


def read_file(folder: Folder, path: str) -> bytes:
    """Bytes of one file.

    Raises:
        FolderError: it can not be read.
    """
    try:
        return folder.read(path)
    except OSError as error:
        raise FolderError(f"`{show_path(path)}` can not be read: {one_line(error)}") from error


def show_path(path: str) -> str:
    """A path as text; bytes of a file name that are no UTF-8 become escapes."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def one_line(error: Exception) -> str:
    """An error's message without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
