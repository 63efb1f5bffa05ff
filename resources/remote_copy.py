"""A whole store copied to its remote, and an empty home filled from one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import RECORD_FILE
from mlops_assets.provenance.record import InputRef
from resources.durable import locked
from resources.dvc import DvcRepository, pointer_of
from resources.remote_store import RemoteStore, is_index
from resources.store import ArtifactStore

# There while a home is being filled: what was killed goes on.
BEGUN: Final = ".pulling"
Track = Callable[[list[Path]], Iterable[Path]]


class HomeInUse(PlatformError):
    """A home that has artifacts of its own can not become another."""


def push_all(root: Path, remote: RemoteStore, track: Track = list) -> dict[str, int]:
    """Upload every version, then what names them, so that nothing named is ever missing there.

    Raises:
        RemoteStoreError, DvcError: it goes on where it stopped when it is called again.
    """
    remote.claim(root)
    folders = [record.parent for record in sorted(root.glob(f"[!.]*/*/{RECORD_FILE}"))]
    for folder in track(folders):
        if pointer_of(folder).is_file():
            DvcRepository(root).track(folder)
        remote.publish(root, folder)
    small = [path for pattern in ("[!.]*/records/*.json", ".steps/*.json", "[!.]*/refs/*.json")
             for path in sorted(root.glob(pattern))]
    for path in small:
        # Whoever sets a reference meanwhile waits, or is waited for; see `set_current`.
        with locked(path.parent):
            remote.put(path.relative_to(root).as_posix(), path.read_bytes())
    return {"versions": len(folders), "files": len(small)}


def pull_all(root: Path, remote: RemoteStore, *, content: bool) -> dict[str, int]:
    """Make ``root``, which must be empty, the store that the remote is a copy of.

    Without ``content`` a version's bytes come when it is first read. References come last.

    Raises:
        HomeInUse: there are artifacts already.
        RemoteStoreError, DvcError, DamagedArtifact: call it again when the cause is gone.
    """
    root.mkdir(parents=True, exist_ok=True)
    begun = root / BEGUN
    with locked(root):
        if any(root.glob("[!.]*/refs/*.json")) and not begun.is_file():
            raise HomeInUse(f"{root} has artifacts already; set PLATFORM_HOME to an empty folder")
        names = remote.names()
        index = [name for name in names if is_index(name)]
        if not index:
            raise HomeInUse(f"{remote.url} holds no copy of a store; see `mlops store push`")
        begun.touch()
        references = [name for name in index if "/refs/" in name]
        remote.get_many([name for name in index if name not in set(references)], root)
    versions = 0
    if content:
        store = ArtifactStore(root, remote)
        kept = [name for name in names if name.endswith(f"/{RECORD_FILE}")]
        tracked = [name.removesuffix(".dvc") for name in names if name.endswith(".dvc")]
        for name in [*(name.removesuffix(f"/{RECORD_FILE}") for name in kept), *tracked]:
            asset, version = name.split("/")
            ref = InputRef(asset=asset, partition=None, version=version)
            store.verify(ref)
            versions += 1
    remote.get_many(references, root)
    begun.unlink()
    return {"versions": versions, "files": len(index)}
