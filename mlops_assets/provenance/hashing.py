"""Content hashes. Every version in the platform is a SHA-256 computed here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

CHUNK_BYTES: Final = 1 << 20
RECORD_FILE: Final = "provenance.json"
SUMMARY_FILE: Final = "summary.json"
BESIDE_CONTENT: Final = frozenset({RECORD_FILE, SUMMARY_FILE})


def sha256_bytes(content: bytes) -> str:
    """Hex SHA-256 of ``content``."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in 1 MiB chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; equal values give equal bytes.

    Raises:
        ValueError: NaN or infinity, which JSON can not hold.
        TypeError: a value that is not JSON.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def sha256_json(value: Any) -> str:
    """Hex SHA-256 of ``canonical_json(value)``."""
    return sha256_bytes(canonical_json(value))


def content_files(folder: Path) -> list[Path]:
    """Every file of an artifact but its record and summary, sorted by relative POSIX path.

    Raises:
        ValueError: a symbolic link, whose target the hash would not cover.
    """
    paths: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise ValueError(f"{path} is a symbolic link; an artifact holds only plain files")
        if path.is_file() and path.relative_to(folder).as_posix() not in BESIDE_CONTENT:
            paths.append(path)
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


def digest_files(folder: Path) -> dict[str, str]:
    """Relative POSIX path to hex SHA-256, for every content file of an artifact folder."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path) for path in content_files(folder)
    }


def tree_version(files: Mapping[str, str]) -> str:
    """The version of an artifact by rule ``tree-v1``: the hash of its paths and file hashes."""
    return sha256_json({"rule": "tree-v1", "files": dict(files)})


def source_sha256(root: Path, packages: Iterable[str]) -> str:
    """Hash of the Python sources below ``root`` in ``packages`` (folders or files).

    Raises:
        FileNotFoundError: a named package does not exist.
    """
    files: dict[str, str] = {}
    for package in packages:
        base = root / package
        if not base.exists():
            raise FileNotFoundError(f"no source at {base}")
        for path in [base] if base.is_file() else base.rglob("*.py"):
            files[path.relative_to(root).as_posix()] = sha256_file(path)
    return sha256_json(files)
