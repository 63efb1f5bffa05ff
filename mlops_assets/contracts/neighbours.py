"""The training images that an answer's image is most like, by the model's own embedding.

``neighbours.npz`` in an exported model holds ``image_ids`` ``S64 [M]``, ``embedding`` float16
``[M, E]`` and ``labels`` int64 ``[M]`` (indices into the card's classes) of ``M`` training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS_FILE: Final = "neighbours.npz"
SHOWN: Final = 5
OPEN: Final = 4
BLOCK: Final = 8192


@dataclass(frozen=True, slots=True)
class Near:
    """A training image and its Euclidean distance; ``label`` is an index into the classes."""

    image_id: str
    label: int
    distance: float


def write_neighbours(
    out: Path, image_ids: NDArray[Any], labels: NDArray[np.int64], embedding: NDArray[np.float32]
) -> None:
    """Write ``neighbours.npz`` into ``out``."""
    np.savez(out / NEIGHBOURS_FILE, image_ids=image_ids.astype("S64"),
             embedding=embedding.astype(np.float16), labels=labels.astype(np.int64))


def nearest(folder: Path, embedding: list[float], count: int = SHOWN) -> list[Near]:
    """The nearest images of the model in ``folder``, the nearest first; ties by image id.

    A model without such a file has none.
    """
    if not (folder / NEIGHBOURS_FILE).is_file():
        return []
    arrays = _load(folder / NEIGHBOURS_FILE)
    vectors, point = arrays["embedding"], np.array(embedding, np.float32)
    squared = np.concatenate([
        np.square(vectors[start : start + BLOCK].astype(np.float32) - point).sum(axis=1)
        for start in range(0, len(vectors), BLOCK)]) if len(vectors) else np.zeros(0, np.float32)
    ids = arrays["image_ids"]
    first = np.argsort(squared, kind="stable")[: count + 1]
    order = sorted(first.tolist(), key=lambda at: (float(squared[at]), bytes(ids[at])))[:count]
    return [Near(ids[at].decode(), int(arrays["labels"][at]), float(np.sqrt(squared[at])))
            for at in order]


@lru_cache(OPEN)
def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in ("image_ids", "embedding", "labels")}
