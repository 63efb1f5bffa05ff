"""Two sets of images: Fashion-MNIST, and textures that have no constant background.

Both are uint8 ``[N, 28, 28]`` with int64 labels of ten classes, in random order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

DATA: Final = Path("data")
SIDE: Final = 28
CLASSES: Final = 10
BLOCK: Final = 5000

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


def fashion(count: int) -> Images:
    """The first ``count`` of the 70,000 images of Fashion-MNIST, shuffled."""
    from torchvision.datasets import FashionMNIST

    parts = [FashionMNIST(str(DATA), train=train, download=False) for train in (True, False)]
    images = np.concatenate([part.data.numpy() for part in parts])
    labels = np.concatenate([part.targets.numpy() for part in parts])
    order = np.random.default_rng(0).permutation(len(images))[:count]
    return images[order], labels[order].astype(np.int64)


def textures(count: int) -> Images:
    """Gratings under uneven light with a sensor's noise; no pixel is constant over images.

    A class is a direction (one of five) and a coarse or a fine grating; each image has its own
    phase, contrast, brightness, gradient of light and noise, so that classes overlap.
    """
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, count)
    across, down = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for start in range(0, count, BLOCK):
        part = labels[start : start + BLOCK]

        def vary(low: float, high: float, rows: int = len(part)) -> NDArray[np.float64]:
            return rng.uniform(low, high, (rows, 1, 1))

        angle = (part % 5)[:, None, None] * (np.pi / 5) + rng.normal(0, 0.15, (len(part), 1, 1))
        pitch = np.where(part < 5, 6.0, 9.0)[:, None, None] * vary(0.85, 1.15)
        wave = np.sin(pitch * (np.cos(angle) * across + np.sin(angle) * down)
                      + vary(0, 2 * np.pi))
        light = vary(-25, 25) * across + vary(-25, 25) * down
        noise = rng.normal(0, 1, (len(part), SIDE, SIDE)) * vary(4, 10)
        grey = vary(90, 160) + vary(20, 60) * wave + light + noise
        images[start : start + BLOCK] = np.clip(np.rint(grey), 0, 255)
    return images, labels.astype(np.int64)
