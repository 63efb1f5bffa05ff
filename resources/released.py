"""Quarantined images that a person has looked at and lets in."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from resources.image_lists import RELEASE, add_image, read_list
from resources.store import ArtifactStore


def read_released(home: Path, store: ArtifactStore, batch: str) -> list[str]:
    """Ids of the images of a batch that were released, sorted."""
    released = set(read_list(home, RELEASE))
    snapshot = store.current("raw_images", batch)
    if not released or snapshot is None:
        return []
    found: set[str] = set()
    for path in sorted(store.path(snapshot).glob("images-*.parquet")):
        ids = pq.read_table(path, columns=["image_id"]).column("image_id").to_pylist()
        found |= released.intersection(ids)
    return sorted(found)


def release(home: Path, image_sha256: str, *, actor: str, reason: str) -> bool:
    """Let an image in; see ``add_image``."""
    return add_image(home, RELEASE, image_sha256, actor=actor, reason=reason)
