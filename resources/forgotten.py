"""Images that no future dataset may have."""

from __future__ import annotations

from pathlib import Path

from mlops_assets.provenance.hashing import sha256_json
from resources.image_lists import FORGET, add_image, read_list


def read_forgotten(home: Path) -> list[str]:
    """Image ids, sorted."""
    return read_list(home, FORGET)


def forgotten_version(home: Path) -> str | None:
    """A hash of the list, None of an empty one."""
    found = read_forgotten(home)
    return sha256_json(found) if found else None


def forget(home: Path, image_sha256: str, *, actor: str, reason: str) -> bool:
    """Add an image to the list; see ``add_image``."""
    return add_image(home, FORGET, image_sha256, actor=actor, reason=reason)
