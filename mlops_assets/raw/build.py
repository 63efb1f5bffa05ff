"""Build of ``raw_images``: what identifies a source's content, and its snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import DatasetSettings
from mlops_assets.contracts.pixels import UndecodableImage, decode_pixels
from mlops_assets.pictures import contact_sheet
from mlops_assets.provenance.hashing import digest_files, sha256_json
from mlops_assets.raw.snapshot import read_batches, write_snapshot
from mlops_assets.raw.sources import SourceError, open_source
from resources.steps import Workspace

SHEET_COLUMNS = 10


def describe_source(settings: DatasetSettings) -> dict[str, Any]:
    """The settings of the source and a hash of every file below it, so that a change is seen.

    Raises:
        SourceError: the folder is missing.
    """
    root = settings.path
    if not root.is_dir():
        fix = "run `mlops data fetch`" if settings.source == "torchvision" else \
            "set `root` in configs/dataset.yaml"
        raise SourceError(f"there is no folder {root}; {fix}")
    base = root / settings.name if settings.source == "torchvision" else root
    listing = digest_files(base) if base.is_dir() else {}
    # CIFAR-10 unpacks beside, under a name of its own.
    if settings.source == "torchvision" and settings.name == "CIFAR10":
        listing = digest_files(root / "cifar-10-batches-py")
    return {
        "source": settings.source, "name": settings.name, "limit": settings.limit,
        "classes": list(settings.classes) if settings.classes else None,
        "files_sha256": sha256_json(listing),
    }


def build_snapshot(settings: DatasetSettings, work: Workspace) -> None:
    """Fill ``raw_images`` of a workspace from the configured source."""
    source = open_source(settings.source, settings.name, settings.path,
                         limit=settings.limit, classes=settings.classes)
    out, summary = work.out("raw_images"), work.summary("raw_images")
    facts = write_snapshot(out, source.images(), source.classes)
    missing = [name for name in source.classes if not facts.per_class.get(name)]
    summary.values |= {"rows": facts.images, "bytes": facts.bytes, "shards": facts.shards,
                       "classes": len(source.classes)}
    summary.tables["images_per_class"] = [
        {"class": name, "images": count} for name, count in sorted(facts.per_class.items())
    ]
    summary.check("every_class_has_images", passed=not missing, blocking=False,
                  description=f"without images: {', '.join(missing) or 'none'}")
    if sample := list(_sample(work, settings)):
        summary.add_picture("sample", contact_sheet(sample))


def _sample(
    work: Workspace, settings: DatasetSettings
) -> Iterator[tuple[str, list[NDArray[np.uint8]]]]:
    """The first decodable images of each class."""
    found: dict[str, list[NDArray[np.uint8]]] = {}
    for batch in read_batches(work.out("raw_images"), ["label", "content"]):
        labels, contents = batch.column("label").to_pylist(), batch.column("content")
        for index, label in enumerate(labels):
            tiles = found.setdefault(label, [])
            if len(tiles) < SHEET_COLUMNS:
                try:
                    tiles.append(decode_pixels(contents[index].as_py(), settings.pixels))
                except (UndecodableImage, cv2.error):
                    # Validation names the fault; the sample only shows what can be shown.
                    continue
        if all(len(tiles) == SHEET_COLUMNS for tiles in found.values()) and len(found) > 1:
            break
    yield from sorted((label, tiles) for label, tiles in found.items() if tiles)
