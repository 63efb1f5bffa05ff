"""Writes that survive: temporary place, fsync, rename. A reader sees the old bytes or the new."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Far longer than any small file takes; a younger half may still be somebody's.
LEFTOVER_SECONDS: Final = 3600
LOCK_FILE: Final = ".lock"


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below ``folder``, and itself."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
            continue
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    sync_folder(folder)


def write_bytes(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Replace ``path`` with ``content``, atomically and durably; see ``write_parts``."""
    write_parts(path, [content], sync=sync)


def write_parts(path: Path, parts: Iterable[bytes], *, sync: bool = True) -> None:
    """Replace ``path`` with content that comes in parts, atomically and durably.

    Without ``sync`` a power failure may leave a torn file, but a killed process can not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            file.writelines(parts)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if sync:
        sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in ``folder`` that killed calls of ``write_bytes`` left."""
    for path in folder.glob(".*-????????"):
        try:
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()
        except FileNotFoundError:
            # Its writer, or another sweeper, was faster.
            continue


def lock_folder(folder: Path, *, wait: bool) -> int | None:
    """Lock a folder until the returned handle is closed or the process ends, however it ends.

    None without ``wait`` when somebody else holds the lock, and when the folder is gone. A file in
    it is locked, opened for writing: of a folder, NFS would tell other machines nothing.
    """
    try:
        handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def sweep_folders(stale: Iterable[Path]) -> None:
    """Remove those folders that nobody holds locked: a kill frees its lock."""
    for folder in stale:
        handle = lock_folder(folder, wait=False) if folder.is_dir() else None
        if handle is not None:
            # Closed first: NFS keeps a file that is open, and its folder with it.
            os.close(handle)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within, no other process or thread is within for the same folder."""
    handle = lock_folder(folder, wait=True)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)
