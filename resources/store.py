"""The artifact store: immutable, content-addressed folders and references to the current ones.

``<root>/<asset>/<version>/`` holds content, ``provenance.json`` and ``summary.json``;
``<root>/<asset>/refs/<partition>.json`` names the current version;
``<root>/<asset>/records/<sha256>.json`` keeps the record of every materialization.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.summary import Summary
from mlops_assets.provenance.hashing import RECORD_FILE, SUMMARY_FILE, canonical_json
from mlops_assets.provenance.integrity import inspect_artifact
from mlops_assets.provenance.record import DamagedRecord, InputRef, ProvenanceRecord
from resources.durable import (
    lock_folder,
    locked,
    remove_leftovers,
    sweep_folders,
    sync_folder,
    sync_tree,
    write_bytes,
)
from resources.dvc import DvcRepository, is_whole, pointer_of
from resources.remote_store import RemoteStore, open_remote

UNPARTITIONED: Final = "_"
Steps = dict[str, tuple[str, str]]


class MissingArtifact(PlatformError):
    """An asset has no version yet, or a named version is not in the store."""


class DamagedArtifact(PlatformError):
    """Stored bytes are not those that their hash names."""


def _reference_name(partition: str | None) -> str:
    return UNPARTITIONED if partition is None else "p-" + quote(partition, safe="")


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Reads and writes artifacts below ``root``.

    With a ``remote`` every version is there too before a reference names it, and one that is
    missing here is brought back from it. See ``open_store``.
    """

    root: Path
    remote: RemoteStore | None = None

    def path(self, ref: InputRef) -> Path:
        """Folder of one version; from the remote where it is missing here.

        Raises:
            DamagedArtifact: what the remote has is not what its hash names.
            RemoteStoreError, DvcError: it can not be asked.
        """
        folder = self._place(ref)
        if self.remote is not None and not is_whole(folder):
            self._bring_back(self.remote, folder)
        return folder

    def _place(self, ref: InputRef) -> Path:
        return self.root / ref.asset / ref.version

    def _bring_back(self, remote: RemoteStore, folder: Path) -> None:
        name = folder.relative_to(self.root).as_posix()
        pointer = pointer_of(folder)
        remote.get_many([pointer.relative_to(self.root).as_posix()], self.root)
        if pointer.is_file():
            DvcRepository(self.root).bring_back(folder)
            return
        with self.scratch() as scratch:
            # Its record is checked against the names of its folders too.
            fetched = scratch / name
            fetched.mkdir(parents=True)
            if not remote.fetch(name, fetched):
                return
            record, damages = inspect_artifact(fetched)
            if record is None or damages:
                raise DamagedArtifact(f"{remote.url} has another `{name}`: {damages[0]}")
            self._put_in_place(fetched, folder)

    def current(self, asset: str, partition: str | None = None) -> InputRef | None:
        """The version that is current now, or None when the asset was never materialized.

        Raises:
            DamagedArtifact: the reference is not readable.
        """
        path = self.root / asset / "refs" / f"{_reference_name(partition)}.json"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            version = json.loads(content)["version"]
            return InputRef(asset=asset, partition=partition, version=version)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedArtifact(
                f"{path} is damaged; materialize `{asset}` again to write it anew"
            ) from error

    def pin(self, asset: str, partition: str | None = None) -> InputRef:
        """Resolve an input once; what the reference says later does not matter.

        Raises:
            MissingArtifact: never materialized.
        """
        ref = self.current(asset, partition)
        if ref is None:
            of = "" if partition is None else f" (partition `{partition}`)"
            raise MissingArtifact(f"`{asset}`{of} is not materialized yet; materialize it first")
        return ref

    def pin_all(self, asset: str) -> list[InputRef]:
        """The current version of every partition, in the order of the partition keys."""
        partitions = sorted(
            unquote(path.stem.removeprefix("p-"))
            for path in (self.root / asset / "refs").glob("p-*.json")
        )
        return [self.pin(asset, partition) for partition in partitions]

    def set_current(self, ref: InputRef) -> None:
        """Make a version the current one, atomically.

        Raises:
            MissingArtifact: the store does not hold that version.
        """
        if not self._place(ref).is_dir():
            raise MissingArtifact(f"`{ref.asset}` has no version {ref.version} in {self.root}")
        name = f"{ref.asset}/refs/{_reference_name(ref.partition)}.json"
        content = canonical_json({"version": ref.version})
        if self.remote is None:
            write_bytes(self.root / name, content)
            return
        self.remote.publish(self.root, self._place(ref))
        # Two that set the same reference give the remote and this store the same last one.
        (self.root / ref.asset / "refs").mkdir(exist_ok=True)
        with locked(self.root / ref.asset / "refs"):
            self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        """A small file, first where it must not be lost, then here, where it takes effect."""
        if self.remote is not None:
            self.remote.claim(self.root)
            self.remote.put(name, content)
        write_bytes(self.root / name, content)

    def verify(self, ref: InputRef) -> ProvenanceRecord:
        """Check every byte of one artifact against its record.

        Raises:
            MissingArtifact: no such version.
            DamagedArtifact: the first file that does not match, by name.
        """
        folder = self.path(ref)
        if not folder.is_dir():
            raise MissingArtifact(f"`{ref.asset}` has no version {ref.version} in {self.root}")
        record, damages = inspect_artifact(folder)
        if record is None or damages:
            raise DamagedArtifact(str(damages[0]))
        return record

    def summary(self, ref: InputRef) -> Summary:
        """The summary beside an artifact."""
        return Summary.model_validate_json((self.path(ref) / SUMMARY_FILE).read_bytes())

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the store's file system, removed at the end with what is left in it.

        It is locked while it is in use. A kill frees the lock, so the next caller sweeps up: also
        one in another container, which can not see this process.
        """
        base = self.root / ".tmp"
        base.mkdir(parents=True, exist_ok=True)
        folder = base / f"{os.getpid()}-{secrets.token_hex(8)}"
        with locked(base):
            self._sweep(base)
            folder.mkdir()
            held = lock_folder(folder, wait=False)
        try:
            yield folder
        finally:
            if held is not None:
                os.close(held)
            shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self, base: Path) -> None:
        """Remove what killed processes left: scratch folders, and halves of small files."""
        sweep_folders(base.iterdir())
        for pattern in ("*/refs", "*/records", ".steps"):
            for folder in self.root.glob(pattern):
                remove_leftovers(folder)

    def commit(self, folder: Path, record: ProvenanceRecord, summary: Summary) -> None:
        """Move a finished folder into place with its record and summary.

        A version that is there already is kept if whole and replaced if damaged. The reference
        does not move: ``set_current`` does that.
        """
        ref = InputRef(asset=record.asset, partition=record.partition, version=record.version)
        target = self._place(ref)
        (folder / SUMMARY_FILE).write_bytes(canonical_json(summary.model_dump(mode="json")))
        (folder / RECORD_FILE).write_bytes(record.to_bytes())
        sync_tree(folder)
        if target.exists():
            try:
                self.verify(ref)
            except DamagedArtifact:
                aside = self.root / ".damaged" / f"{record.asset}-{secrets.token_hex(4)}"
                aside.parent.mkdir(exist_ok=True)
                target.rename(aside)
        if not target.exists() and not self._put_in_place(folder, target):
            # Another process was first with the same version; only a whole one may stay.
            self.verify(ref)
        self._write(f"{record.asset}/records/{record.sha256}.json", record.to_bytes())

    def _put_in_place(self, folder: Path, target: Path) -> bool:
        """Move a finished folder into place; False when there is one by now."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        sync_folder(target.parent)
        return True

    def remember(self, step_key: str, outputs: Steps) -> None:
        """Keep what a step gave: asset to (version, record hash)."""
        self._write(f".steps/{step_key}.json", canonical_json(outputs))

    def recall(self, step_key: str) -> Steps | None:
        """What a step with this key gave before, or None."""
        try:
            content = (self.root / ".steps" / f"{step_key}.json").read_bytes()
            return {asset: (pair[0], pair[1]) for asset, pair in json.loads(content).items()}
        except FileNotFoundError:
            return None
        except (ValueError, IndexError, AttributeError, TypeError) as error:
            raise DamagedArtifact(
                f"{self.root / '.steps' / step_key}.json is damaged; delete it"
            ) from error

    def record(self, asset: str, sha256: str) -> ProvenanceRecord:
        """One materialization's record by its hash.

        Raises:
            MissingArtifact: there is none.
            DamagedArtifact: it is not what was written.
        """
        path = self.root / asset / "records" / f"{sha256}.json"
        try:
            record = ProvenanceRecord.from_bytes(path.read_bytes())
        except FileNotFoundError as error:
            raise MissingArtifact(f"`{asset}` has no record {sha256} in {self.root}") from error
        except DamagedRecord as error:
            raise DamagedArtifact(f"{path}: {error}") from error
        if record.sha256 != sha256:
            raise DamagedArtifact(f"{path} holds another record, {record.sha256}")
        return record


def open_store(home: Path) -> ArtifactStore:
    """The store of a platform home, with the remote that ``MLOPS_ARTIFACTS_URL`` names."""
    return ArtifactStore(home / "store", open_remote())
