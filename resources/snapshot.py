"""One consistent copy of a platform home, taken while it works, and put back elsewhere.

Artifacts never change and nothing removes them, so what names them is copied first: databases (each
by SQLite's own backup), then references, then everything else, of which there may only be more. A
growing file of lines is cut after its last whole line, its head having been copied before it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import canonical_json, sha256_file
from resources.data_services import PLATFORM_DATABASE
from resources.durable import (
    LOCK_FILE,
    lock_folder,
    sweep_folders,
    sync_folder,
    sync_tree,
    write_bytes,
)
from resources.dvc import SITE_CACHE

MANIFEST: Final = "snapshot.json"
FORMAT: Final = 1
CONTENT: Final = "home"
# Made anew where a platform starts, or of use to running programs alone.
LEFT_OUT: Final = frozenset({"run", "logs", "work", "metrics", "prometheus", "alertmanager"})
SCRATCH: Final = frozenset({".tmp", "tmp", "__pycache__", SITE_CACHE})
SQLITE: Final = b"SQLite format 3\x00"
GROWING: Final = ".jsonl"
PHASES: Final = 4
FLEETING: Final = frozenset({"requests", "dagster"})
Tell = Callable[[int, int], None]


class SnapshotError(PlatformError):
    """A snapshot can not be taken or put back; nothing was changed."""


def create(home: Path, target: Path, tell: Tell = lambda _done, _all: None) -> dict[str, Any]:
    """Take a snapshot of ``home`` as the new folder ``target``; its manifest.

    ``tell`` is called with files done and files in all.

    Raises:
        SnapshotError: no home, ``target`` exists, or the database is a server's.
    """
    if not (home / "store").is_dir():
        raise SnapshotError(f"there is no platform in {home}")
    _refuse_server()
    if home.resolve() in target.resolve().parents:
        raise SnapshotError(f"{target} lies in the home itself; choose a place outside of it")
    with staged(target) as folder:
        done = 0
        for phase in range(PHASES):
            # Listed when what names it has been copied, so that nothing named is missing.
            files = [path for path in _list(home) if _phase(path) == phase]
            for path in files:
                _copy(home, path, folder / CONTENT)
                done += 1
                tell(done, len(files))
        shutil.copymode(home, folder / CONTENT)
        kept = sorted(path for path in (folder / CONTENT).rglob("*") if path.is_file())
        manifest: dict[str, Any] = {
            "format": FORMAT, "created_at": datetime.now(UTC).isoformat(),
            "files": {path.relative_to(folder / CONTENT).as_posix(): sha256_file(path)
                      for path in kept}}
        write_bytes(folder / MANIFEST, canonical_json(manifest))
    return manifest


def restore(
    source: Path, home: Path, finish: Callable[[Path], None],
    tell: Tell = lambda _done, _all: None,
) -> dict[str, Any]:
    """Put a snapshot back as ``home``, which must not be there yet; its manifest.

    ``finish`` is given the folder that will become ``home``, when all is in it.

    Raises:
        SnapshotError: no snapshot, a file that is not what the manifest says, or a home with
            something in it.
    """
    _refuse_server()
    try:
        manifest: dict[str, Any] = json.loads((source / MANIFEST).read_bytes())
        files = dict(manifest["files"])
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{source} is no whole snapshot: {error}") from error
    if manifest.get("format") != FORMAT:
        raise SnapshotError(f"{source} has format {manifest.get('format')}, not {FORMAT}")
    with staged(home) as folder:
        for done, (name, sha256) in enumerate(files.items()):
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise SnapshotError(f"{source} names a file outside of itself: {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(source / CONTENT / name, target)
            except FileNotFoundError as error:
                raise SnapshotError(f"{source / CONTENT / name} is missing") from error
            shutil.copymode(source / CONTENT / name, target)
            if sha256_file(target) != sha256:
                raise SnapshotError(f"{source / CONTENT / name} is damaged")
            tell(done + 1, len(files))
        finish(folder)
        shutil.copymode(source / CONTENT, folder)
    return manifest


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A folder that becomes ``target`` at the end, in one rename; after an error it is gone.

    What a killed process left is swept up by the next.

    Raises:
        SnapshotError: there is something in ``target``.
    """
    target = target.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SnapshotError(f"{target} is there already; choose another place")
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep_folders(target.parent.glob(f".{target.name}.new-*"))
    folder = target.with_name(f".{target.name}.new-{secrets.token_hex(4)}")
    folder.mkdir(mode=0o700)
    held = lock_folder(folder, wait=True)
    try:
        yield folder
        (folder / LOCK_FILE).unlink()
        sync_tree(folder)
        folder.rename(target)
        sync_folder(target.parent)
    finally:
        if held is not None:
            os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_server() -> None:
    if os.environ.get(PLATFORM_DATABASE):
        raise SnapshotError(f"{PLATFORM_DATABASE} names a database server: back it up with its own "
                            "tools, and unset it for a snapshot of the files")


def _list(home: Path) -> list[Path]:
    """Every file that is kept, sorted.

    Raises:
        SnapshotError: a folder is a link, which a copy would not follow.
        OSError: a folder can not be read.
    """
    def refuse(error: OSError) -> None:
        # Folders of scratch come and go.
        if not isinstance(error, FileNotFoundError):
            raise error

    found = []
    for root, folders, names in os.walk(home, onerror=refuse):
        place = Path(root)
        left_out = LEFT_OUT if place == home else SCRATCH
        folders[:] = sorted(name for name in folders
                            if name not in left_out and not name.startswith(".build-"))
        for name in folders:
            if (place / name).is_symlink():
                raise SnapshotError(f"{place / name} is a link: set PLATFORM_HOME to one real "
                                    "folder, or mount the other disk there")
        found += [place / name for name in sorted(names)
                  if not name.endswith(("-wal", "-shm", "-journal", ".lock"))]
    return sorted(found)


def _phase(path: Path) -> int:
    if path.suffix in (".db", ".sqlite"):
        return 0
    if path.parent.name in ("refs", ".steps"):
        return 1
    return 3 if path.suffix == GROWING else 2


def _copy(home: Path, path: Path, into: Path) -> None:
    name = path.relative_to(home)
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("rb") as file:
            database = file.read(len(SQLITE)) == SQLITE
        if database:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source, \
                    closing(sqlite3.connect(target)) as copy:
                source.backup(copy)
        elif path.suffix == GROWING:
            content = path.read_bytes()
            target.write_bytes(content[: content.rfind(b"\n") + 1])
        else:
            shutil.copyfile(path, target)
        shutil.copymode(path, target)
    except FileNotFoundError:
        # Images of requests have a retention, and half-written files a short life.
        if name.parts[0] not in FLEETING and not path.name.startswith("."):
            raise
        target.unlink(missing_ok=True)
