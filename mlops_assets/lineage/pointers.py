"""What DVC writes of a folder, computed here: importing DVC takes longer than hashing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from mlops_assets.provenance.hashing import CHUNK_BYTES
from resources.dvc import DvcError, DvcRepository


def _md5_file(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def dvc_pointer(folder: Path) -> bytes:
    """The ``.dvc`` file that ``dvc add`` of DVC 3 writes beside a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    listing = sorted(
        ({"md5": _md5_file(path), "relpath": path.relative_to(folder).as_posix()}
         for path in paths),
        key=lambda entry: entry["relpath"],
    )
    text = json.dumps(listing, sort_keys=True)
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    size = sum(path.stat().st_size for path in paths)
    return (f"outs:\n- md5: {digest}.dir\n  size: {size}\n  nfiles: {len(paths)}\n"
            f"  hash: md5\n  path: {folder.name}\n").encode()


def pointer_hash(folder: Path) -> str | None:
    """The hash in the ``.dvc`` file of ``<asset>/<version>/``; None when that file is damaged."""
    try:
        return DvcRepository(folder.parent.parent).hash_of(folder)
    except (DvcError, yaml.YAMLError, UnicodeDecodeError):
        return None
