"""A landing zone: folders that others fill become batches, once each, when they are complete.

A folder is complete when a `_SUCCESS` file is in it, or when nothing in it changed for a while. Its
first batch bears its name; files that come later make `<name>.2`, `<name>.3`. What a batch has
taken is recorded beside the store when the batch is made, so that no look, restart or retry takes a
file twice or leaves one out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mlops_assets.config import DatasetSettings, LandingSettings
from mlops_assets.contracts.errors import FolderError
from mlops_assets.contracts.manifest import FEEDBACK_PREFIX
from mlops_assets.provenance.hashing import canonical_json, sha256_json
from resources.durable import write_bytes
from resources.folders import NAME, Folder, list_names, one_line, open_folder, show_path
from resources.store import open_store

SETTING: Final = "configs/landing.yaml"
MARKER: Final = "_SUCCESS"
RECORDS: Final = "landing"
LATER: Final = re.compile(r"(?P<name>.+)\.(?P<number>[2-9]|[1-9][0-9]+)")


class Part:
    """A folder without files that an earlier batch has taken, and without those ``beside`` images.

    ``only`` are the files that the batch itself took when it was made before.
    """

    def __init__(
        self, folder: Folder, taken: Mapping[str, str], only: Mapping[str, str] | None,
        beside: Collection[str],
    ) -> None:
        self._folder: Final = folder
        marks = folder.mark()
        self._all: Final = frozenset(marks)
        self._marks: Final = {
            path: mark for path, mark in marks.items()
            if path not in beside and taken.get(show_path(path)) != mark
            and (only is None or only.get(show_path(path)) == mark)}

    def paths(self) -> list[str]:
        """See ``Folder``; as they were when this was made."""
        return sorted(self._marks)

    def everything(self) -> frozenset[str]:
        """Files of the folder, also those of other batches."""
        return self._all

    def read(self, path: str) -> bytes:
        """See ``Folder``."""
        return self._folder.read(path)

    def mark(self) -> dict[str, str]:
        """See ``Folder``; as they were when this was made."""
        return dict(self._marks)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found: batches that may be made, what is seen, and what is waited for.

    ``ready`` has those too that were asked for and are not made yet.
    """

    ready: list[str]
    seen: dict[str, tuple[str, float]]
    waiting: list[str]


def split_key(key: str) -> tuple[str, int]:
    """The folder's name and the batch's number in a partition key: ``a`` is 1, ``a.2`` is 2."""
    later = LATER.fullmatch(key)
    return (later["name"], int(later["number"])) if later else (key, 1)


def is_landing(
    settings: LandingSettings, home: Path, key: str, *, base: Path, own: str
) -> bool:
    """Whether a batch comes, or came, from the landing zone; ``own`` is the configured source's."""
    if _path(home, key).is_file():
        return True
    if not settings.root or key == own or _is_of_another(home, key):
        return False
    return split_key(key)[0] in list_names(settings.root, base=base, setting=SETTING)


def _is_of_another(home: Path, key: str) -> bool:
    """Whether a batch was made that no record here knows: of the configured source, or by hand."""
    return open_store(home).current("raw_images", key) is not None


def open_landing(
    settings: LandingSettings, home: Path, key: str, *, base: Path, dataset: DatasetSettings
) -> Part:
    """What one batch takes: its folder, without what earlier batches of it took.

    A batch that was made before is made of the same files again.

    Raises:
        FolderError: the folder is not there, or an earlier batch was not made yet, or files that
            the batch was made of are gone.
    """
    name, number = split_key(key)
    taken: dict[str, str] = {}
    for earlier in range(1, number):
        record = read_record(home, _key(name, earlier))
        if record is None:
            raise FolderError(f"batch {_key(name, earlier)} comes before {key} and is not made "
                              "yet; materialize it first")
        taken |= record
    only = read_record(home, key)
    part = Part(open_folder(settings.root, name, base=base, setting=SETTING), taken, only,
                _beside(dataset))
    if only is not None and len(part.paths()) < len(only):
        raise FolderError(f"{len(only) - len(part.paths())} of the {len(only)} files that batch "
                          f"{key} was made of are gone from {settings.root}/{name}")
    return part


def record_batch(home: Path, key: str, part: Part, files_sha256: str) -> None:
    """Keep what a batch has taken, and the hash of it."""
    write_bytes(_path(home, key), canonical_json({
        "files": {show_path(path): mark for path, mark in part.mark().items()},
        "files_sha256": files_sha256}))


def read_record(home: Path, key: str) -> dict[str, str] | None:
    """Each file that a batch has taken and its mark; None before it is made."""
    found = _read(home, key)
    return None if found is None else dict(found["files"])


def read_files_sha256(home: Path, key: str) -> str | None:
    """The hash of what a batch has taken; None before it is made."""
    found = _read(home, key)
    return None if found is None else str(found["files_sha256"])


def _read(home: Path, key: str) -> dict[str, Any] | None:
    path = _path(home, key)
    found: dict[str, Any] | None = json.loads(path.read_bytes()) if path.is_file() else None
    return found


def look(
    settings: LandingSettings, home: Path, base: Path, dataset: DatasetSettings,
    seen: Mapping[str, tuple[str, float]], now: datetime,
) -> Looked:
    """Which folders are complete and have files that no batch has.

    ``seen`` is by folder its state at the look before and since when it is so (seconds of the
    epoch). A folder that can not be read holds up no other.

    Raises:
        FolderError: the landing zone can not be read.
    """
    found = Looked([], {}, [])
    if not settings.root:
        return found
    for name in list_names(settings.root, base=base, setting=SETTING):
        if NAME.fullmatch(name) is None or LATER.fullmatch(name) or \
                name.startswith(FEEDBACK_PREFIX) or name == dataset.batch:
            found.waiting.append(
                f"`{show_path(name)}` is no name of a batch; use letters, digits, . _ -, no ending "
                f"as .2, and neither {dataset.batch} nor {FEEDBACK_PREFIX}...")
            continue
        try:
            _look_at(settings, home, base, name, _beside(dataset), seen, now, found)
        except (FolderError, OSError) as error:
            found.waiting.append(f"{name} can not be read: {one_line(error)}")
    return found


def _look_at(
    settings: LandingSettings, home: Path, base: Path, name: str, beside: Collection[str],
    seen: Mapping[str, tuple[str, float]], now: datetime, found: Looked,
) -> None:
    number = 1
    while _path(home, _key(name, number)).is_file():
        number += 1
    key = _key(name, number)
    if number > 1 and _is_old(home, _key(name, number - 1), now, settings.late_hours):
        return
    # Of folders of long ago no record is read: there may be thousands.
    taken: dict[str, str] = {}
    for earlier in range(1, number):
        taken |= read_record(home, _key(name, earlier)) or {}
    marks = open_folder(settings.root, name, base=base, setting=SETTING).mark()
    new = {path: mark for path, mark in marks.items()
           if path not in beside and taken.get(show_path(path)) != mark}
    if not new:
        return
    if _is_of_another(home, key):
        found.waiting.append(f"a batch {key} is there already, of another source; rename {name}")
        return
    state = sha256_json({show_path(path): mark for path, mark in sorted(new.items())})
    before, since = seen.get(name, ("", 0.0))
    if before != state:
        since = now.timestamp()
    found.seen[name] = (state, since)
    quiet = now.timestamp() - since >= settings.quiet_seconds
    if quiet or (number == 1 and MARKER in marks):
        found.ready.append(key)
    else:
        found.waiting.append(f"{name} has {len(new)} new files and may not be complete")


def _beside(dataset: DatasetSettings) -> Collection[str]:
    """Files of a folder that are no images: a table of labels grows with its images."""
    return {MARKER, dataset.table} if dataset.source == "table" else {MARKER}


def _is_old(home: Path, key: str, now: datetime, hours: float) -> bool:
    made = datetime.fromtimestamp(_path(home, key).stat().st_mtime, UTC)
    return now - made > timedelta(hours=hours)


def _key(name: str, number: int) -> str:
    return name if number == 1 else f"{name}.{number}"


def _path(home: Path, key: str) -> Path:
    return home / RECORDS / f"{key}.json"
