"""What a program gives for one image, and how unlike the reference the image is."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.image_statistics import ImageStatistics
from mlops_assets.contracts.model_card import REFERENCE_FILE

NOVEL_QUANTILE: Final = 0.999
MIN_REFERENCE: Final = 100

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Computed:
    """Independent of request, slot and time, so it can be kept and used again.

    ``shares`` is the JSON object of class to probability, ``embedding`` base64 of little-endian
    float32.
    """

    label: str
    confidence: float
    shares: bytes
    embedding: str
    pixels: ImageStatistics
    novelty: float | None


@dataclass(frozen=True, slots=True)
class Novelty:
    """Squared Mahalanobis distance in the reference's principal components (diagonal).

    It is divided by its own 99.9 % quantile over held-out images, so 1.0 is the border.
    """

    offset: Floats
    rotation: Floats
    limit: float

    @staticmethod
    def read(folder: Path) -> Novelty | None:
        """From a model folder's reference; None where it has none, or too few rows to say."""
        path = folder / REFERENCE_FILE
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as stored:
            if not {"center", "components", "projected"} <= set(stored.files):
                return None
            center, components = stored["center"], stored["components"]
            projected = stored["projected"].astype(np.float64)
        if len(projected) < MIN_REFERENCE:
            return None
        scale = np.maximum(projected.std(axis=0), 1e-6)
        distances = ((projected / scale) ** 2).sum(axis=1)
        rotation = (components.T / scale).astype(np.float32)
        limit = float(np.quantile(distances, NOVEL_QUANTILE))
        return Novelty(center.astype(np.float32) @ rotation, rotation, limit)

    def measure(self, embeddings: Floats) -> NDArray[np.float64]:
        """One value an embedding ``[N, E]``; above 1 the image is unlike the reference."""
        standard = (embeddings @ self.rotation - self.offset).astype(np.float64)
        distances: NDArray[np.float64] = np.square(standard).sum(axis=1) / self.limit
        return distances


def pack_embedding(row: Floats) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode()
