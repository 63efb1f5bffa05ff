"""scikit-learn's bundled digits (1,797 images of 8 x 8) as a real image folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from sklearn.datasets import load_digits

SIDE = 16


def write_digits(root: Path, *, per_class: int | None = None, skip: int = 0) -> Path:
    """Write ``root/<digit>/<index>.png``, 16 x 16 grey, and return ``root``."""
    digits = load_digits()
    counts = dict.fromkeys(range(10), 0)
    for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        counts[int(label)] += 1
        place = counts[int(label)]
        if place <= skip or (per_class is not None and place > skip + per_class):
            continue
        pixels = cv2.resize((image / 16 * 255).astype(np.uint8), (SIDE, SIDE))
        folder = root / f"digit-{label}"
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{index:04d}.png"), pixels)
    return root
