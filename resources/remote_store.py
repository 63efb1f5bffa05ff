"""A copy of the artifact store behind a URL, such as a bucket: complete whenever a reference moves.

``MLOPS_ARTIFACTS_URL`` names the place; below it are ``store/`` (this copy, laid out as the store
itself), ``dvc/`` (DVC's remote) and ``mlflow/`` (MLflow's artifacts). Artifacts never change, so a
copy of one is whole once its record is there, which is uploaded last.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import RECORD_FILE
from resources.data_services import ARTIFACTS, artifacts_url
from resources.durable import locked, write_bytes
from resources.dvc import pointer_of
from resources.folders import is_of_a_client, one_line

OWNER_FILE: Final = ".home"
# Small files that say what is current and what was made of what.
INDEX: Final = ("refs", "records")
# Remotes that this process has found to be of a store, which they stay.
_CLAIMED: Final[set[tuple[str, Path]]] = set()


class RemoteStoreError(PlatformError):
    """The place behind ``MLOPS_ARTIFACTS_URL`` refuses, does not answer, or is another home's."""

    transient = True


@dataclass(frozen=True, slots=True)
class RemoteStore:
    """The copy of one store below ``url``; every method raises ``RemoteStoreError``."""

    url: str

    @contextmanager
    def _system(self) -> Iterator[tuple[Any, str]]:
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(f"{self.url.rstrip('/')}/store")
            # A listing kept from before hides what has come since.
            system.invalidate_cache()
            yield system, path
        except RemoteStoreError:
            raise
        except Exception as error:
            # The clients of object stores have errors of their own.
            if not isinstance(error, ImportError | ValueError | OSError | RuntimeError) \
                    and not is_of_a_client(error):
                raise
            raise RemoteStoreError(
                f"{self.url} can not be used: {one_line(error)}; see {ARTIFACTS} and the "
                "credentials of its file system") from error

    def get(self, name: str) -> bytes | None:
        """Bytes of one small file, or None when it is not there."""
        with self._system() as (system, root):
            try:
                return bytes(system.cat_file(f"{root}/{name}"))
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """Write one small file whole."""
        with self._system() as (system, root):
            system.makedirs(f"{root}/{PurePosixPath(name).parent}", exist_ok=True)
            system.pipe_file(f"{root}/{name}", content)

    def claim(self, store: Path) -> None:
        """Make sure that the copy is of this store, or of none yet; asked once a process."""
        if (self.url, store) in _CLAIMED:
            return
        store.mkdir(parents=True, exist_ok=True)
        with locked(store):
            self._claim(store)
        _CLAIMED.add((self.url, store))

    def _claim(self, store: Path) -> None:
        mark = store / OWNER_FILE
        if mark.is_file():
            mine = mark.read_bytes()
        else:
            mine = secrets.token_hex(16).encode()
            write_bytes(mark, mine)
        if self.get(OWNER_FILE) is None:
            self.put(OWNER_FILE, mine)
        if self.get(OWNER_FILE) != mine:
            raise RemoteStoreError(
                f"{self.url} holds the artifacts of another home than {store.parent}; choose "
                f"another {ARTIFACTS}, or run `mlops store pull` in an empty home")

    def publish(self, store: Path, folder: Path) -> None:
        """Upload one version, or of what DVC keeps its pointer; nothing where it is there."""
        self.claim(store)
        pointer = pointer_of(folder)
        files = [pointer] if pointer.is_file() else [
            *(path for path in sorted(folder.rglob("*"))
              if path.is_file() and path != folder / RECORD_FILE),
            folder / RECORD_FILE]
        names = [path.relative_to(store).as_posix() for path in files]
        with self._system() as (system, root):
            if self._has(system, root, store, names):
                return
            for parent in sorted({str(PurePosixPath(name).parent) for name in names}):
                system.makedirs(f"{root}/{parent}", exist_ok=True)
            if files[:-1]:
                system.put([str(path) for path in files[:-1]],
                           [f"{root}/{name}" for name in names[:-1]])
            system.put_file(str(files[-1]), f"{root}/{names[-1]}")

    def _has(self, system: Any, root: str, store: Path, names: list[str]) -> bool:
        """Whether all are there, the last by its name, as records of one version may differ."""
        *before, last = names
        if not before:
            return bool(system.exists(f"{root}/{last}"))
        try:
            found = system.find(f"{root}/{PurePosixPath(last).parent}", detail=True)
        except FileNotFoundError:
            return False
        sizes = {each[len(root) + 1:]: about["size"] for each, about in found.items()}
        return last in sizes and all(
            sizes.get(name) == (store / name).stat().st_size for name in before)

    def fetch(self, name: str, into: Path) -> bool:
        """Download the version ``<asset>/<version>`` into an empty folder; False: it has none."""
        with self._system() as (system, root):
            if not system.exists(f"{root}/{name}/{RECORD_FILE}"):
                return False
            found = sorted(system.find(f"{root}/{name}"))
            start = len(f"{root}/{name}/")
            targets = [into / each[start:] for each in found]
            for parent in {target.parent for target in targets}:
                parent.mkdir(parents=True, exist_ok=True)
            system.get(found, [str(target) for target in targets])
            return True

    def names(self) -> list[str]:
        """Names of all files, relative to the copy, sorted."""
        with self._system() as (system, root):
            return sorted(each[len(root) + 1:] for each in system.find(root))

    def get_many(self, names: Iterable[str], store: Path) -> None:
        """Download small files to where the store has them; each is replaced whole."""
        for name in names:
            content = self.get(name)
            if content is not None:
                write_bytes(store / name, content)


def is_index(name: str) -> bool:
    """Whether a file of the copy is one of those that say what there is."""
    parts = PurePosixPath(name).parts
    return name == OWNER_FILE or name.endswith(".dvc") or (
        len(parts) > 1 and (parts[0] == ".steps" or parts[1] in INDEX))


def open_remote() -> RemoteStore | None:
    """The copy that ``MLOPS_ARTIFACTS_URL`` names, or None."""
    url = artifacts_url()
    return None if url is None else RemoteStore(url)
