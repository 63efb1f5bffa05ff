"""Which images drifted: the strangest that were kept, each beside its nearest reference image."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.contracts.files import request_image
from mlops_assets.contracts.pixels import UndecodableImage, decode_pixels
from mlops_assets.features.shards import read_shard
from mlops_assets.monitoring.reference import Reference, embeddings
from mlops_assets.pictures import contact_sheet
from mlops_assets.provenance.hashing import sha256_bytes

PAIRS: Final = 12
CANDIDATES: Final = 200


@dataclass(frozen=True, slots=True)
class Pair:
    """One prediction and the reference image whose embedding is nearest, ``distance`` away."""

    prediction_id: str
    image_sha256: str
    label: str
    confidence: float
    nearest: str
    nearest_label: str
    distance: float
    image: NDArray[np.uint8]

    def facts(self) -> dict[str, Any]:
        """All but the pixels."""
        return {key: value for key, value in asdict(self).items() if key != "image"}


def find_pairs(frame: pl.DataFrame, reference: Reference, images: Path) -> list[Pair]:
    """The images farthest from any reference image, of those whose bytes are below ``images``.

    A file that is gone, or is not what its name says, is left out.
    """
    if "embedding" not in reference.arrays:
        return []
    kept = frame.filter("image_kept").unique("image_sha256", keep="last", maintain_order=True)
    known = reference.arrays["embedding"].astype(np.float32)
    if not kept.height or not len(known):
        return []
    kept = kept.sort("novelty", descending=True, nulls_last=True).head(CANDIDATES)
    distance, nearest = _nearest(embeddings(kept, reference.card), known)
    pairs = []
    for row in np.argsort(-distance, kind="stable").tolist():
        record = kept.row(row, named=True)
        image = _read(images, record["image_sha256"], reference)
        if image is not None:
            place = int(nearest[row])
            pairs.append(Pair(
                record["prediction_id"], record["image_sha256"], record["label"],
                float(record["confidence"]), reference.arrays["image_ids"][place].decode(),
                reference.card.classes[int(reference.arrays["truth"][place])],
                float(distance[row]), image))
        if len(pairs) == PAIRS:
            break
    return pairs


def draw_pairs(pairs: list[Pair], shards: Path) -> bytes | None:
    """Production above, its nearest reference image below; None where shards have none of them."""
    test = read_shard(shards, "test")
    places = {name: row for row, name in enumerate(test.image_ids.tolist())}
    shown = [pair for pair in pairs if pair.nearest in places]
    if not shown:
        return None
    beside = [np.asarray(test.images[places[pair.nearest]]) for pair in shown]
    return contact_sheet([("production", [pair.image for pair in shown]),
                          ("nearest known", beside)], side=56)


def _nearest(
    vectors: NDArray[np.float32], known: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distance ``[N]`` to, and row ``[N]`` of, the nearest of ``known``."""
    squared = (np.square(vectors).sum(axis=1)[:, None] + np.square(known).sum(axis=1)[None]
               - 2 * vectors @ known.T)
    nearest = squared.argmin(axis=1)
    least = np.take_along_axis(squared, nearest[:, None], axis=1)[:, 0]
    return np.sqrt(np.maximum(least, 0)), nearest


def _read(images: Path, sha256: str, reference: Reference) -> NDArray[np.uint8] | None:
    path = request_image(images, sha256)
    if not path.is_file():
        return None
    content = path.read_bytes()
    if sha256_bytes(content) != sha256:
        return None
    try:
        return decode_pixels(content, reference.card.pixels)
    except (UndecodableImage, cv2.error):
        return None
