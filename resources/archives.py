"""Archives as folders: members are read in place, and never unpacked to a disk."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mlops_assets.contracts.errors import FolderError

ARCHIVES: Final = frozenset({".zip", ".tar"})
# A member that unpacks to more is no photograph.
MOST_BYTES: Final = 1 << 30
LINK: Final = 0o12


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive; ``start`` is where its bytes begin in a tar."""

    size: int
    mark: str
    start: int = 0


class Archive:
    """A ``.zip`` or an uncompressed ``.tar`` file as a ``Folder``.

    Raises:
        FolderError: it is damaged, or a member is absolute, leads upwards or is a link: such a
            name is made to read or write elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        try:
            self._zip: Final = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
            found = dict(_list_tar(path) if self._zip is None else _list_zip(path, self._zip))
        except (zipfile.BadZipFile, tarfile.TarError, OSError) as error:
            raise FolderError(f"{path} is damaged: {error}") from error
        self._members: Final = {
            name: member for name, member in found.items()
            if not any(part.startswith(".") for part in PurePosixPath(name).parts)}

    def __reduce__(self) -> tuple[type[Archive], tuple[Path]]:
        """Another process opens the file for itself."""
        return Archive, (self.path,)

    def paths(self) -> list[str]:
        """See ``Folder``."""
        return sorted(self._members)

    def read(self, path: str) -> bytes:
        """See ``Folder``.

        Raises:
            OSError: the member is not there, damaged, encrypted or too large.
        """
        if path not in self._members:
            raise FileNotFoundError(f"{self.path} has no such member")
        member = self._members[path]
        if member.size > MOST_BYTES:
            raise OSError(f"unpacks to {member.size} bytes; at most {MOST_BYTES}")
        if self._zip is None:
            with self.path.open("rb") as file:
                file.seek(member.start)
                return file.read(member.size)
        try:
            return self._zip.read(path)
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
            raise OSError(f"is damaged or encrypted in {self.path}: {error}") from error

    def mark(self) -> dict[str, str]:
        """See ``Folder``; members have no time that can be trusted, so the archive's counts."""
        changed = self.path.stat().st_mtime_ns
        return {path: f"{self._members[path].mark}-{changed}" for path in self.paths()}


def _list_zip(path: Path, archive: zipfile.ZipFile) -> Iterable[tuple[str, Member]]:
    for each in archive.infolist():
        _refuse(path, each.filename, special=each.external_attr >> 28 == LINK)
        if not each.is_dir():
            yield each.filename, Member(each.file_size, f"{each.file_size}-{each.CRC:08x}")


def _list_tar(path: Path) -> Iterable[tuple[str, Member]]:
    with tarfile.open(path, "r:") as archive:
        for each in archive:
            _refuse(path, each.name, special=not (each.isreg() or each.isdir()))
            if each.isreg():
                yield each.name, Member(each.size, f"{each.size}-{each.mtime}", each.offset_data)


def _refuse(path: Path, name: str, *, special: bool) -> None:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise FolderError(f"{path} holds `{name}`, which leads out of it; make the archive anew "
                          "with relative names")
    if special:
        raise FolderError(f"{path} holds `{name}`, which is a link or a device; make the archive "
                          "anew with plain files")
