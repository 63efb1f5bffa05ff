"""Bentos in BentoML's store, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mlops_assets.provenance.hashing import sha256_file

# What carries the time of the build: equal inputs give equal bytes in all other files.
VOLATILE: Final = frozenset({"bento.yaml"})


def list_files(bento: Path) -> dict[str, str]:
    """Relative POSIX path to hex SHA-256 of a bento's files, sorted.

    Without ``VOLATILE`` and without the bytecode that serving leaves in ``__pycache__``.
    """
    paths = {path.relative_to(bento).as_posix(): path for path in bento.rglob("*")}
    return {
        name: sha256_file(path)
        for name, path in sorted(paths.items())
        if path.is_file() and name not in VOLATILE and path.parent.name != "__pycache__"
    }
