"""Folders of images, one folder a class: small drawings, photos, large photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from sklearn.datasets import load_sample_image

from mlops_assets.raw.fetch import fetch_dataset
from mlops_assets.raw.sources import TorchvisionSource

CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """What is read.

    ``ingested`` and ``read`` are numbers of images; ``side`` and ``channels`` are of the batches;
    ``decoded``: pixels may be kept.
    """

    name: str
    ingested: int
    read: int
    side: int
    channels: int
    batch: int
    decoded: bool


KINDS: Final = (
    Kind("28px", 20_480, 4_096, 28, 1, 256, decoded=True),
    Kind("224px", 6_144, 768, 224, 3, 64, decoded=True),
    Kind("1000px", 1_536, 256, 224, 3, 64, decoded=False),
)


def write_folder(folder: Path, kind: Kind, count: int) -> None:
    """The images of a kind: Fashion-MNIST as PNG, or JPEG photos of 300 to 500 px or 1,000 px."""
    for label in range(CLASSES):
        (folder / f"class-{label}").mkdir(parents=True)
    if kind.channels == 1:
        fetch_dataset("FashionMNIST", Path("data"), log=lambda _: None)
        source = TorchvisionSource("FashionMNIST", Path("data"), limit=count)
        order = {name: label for label, name in enumerate(sorted(source.classes))}
        for number, image in zip(range(count), source.images(), strict=False):
            (folder / f"class-{order[image.label]}" / f"{number:06d}.png").write_bytes(
                image.content)
        return
    rng = np.random.default_rng(kind.side)
    photos = [np.asarray(load_sample_image(name)[..., ::-1], np.uint8)
              for name in ("china.jpg", "flower.jpg")]
    for number in range(count):
        (folder / f"class-{number % CLASSES}" / f"{number:06d}.jpg").write_bytes(
            photo(photos[int(rng.integers(2))], rng, large=not kind.decoded))


def photo(scene: np.ndarray, rng: np.random.Generator, *, large: bool) -> bytes:
    """A part of a scene, turned and scaled, with a sensor's noise, as JPEG."""
    side = int(rng.integers(200, 400))
    top, left = (int(rng.integers(0, most - side + 1)) for most in scene.shape[:2])
    part = scene[top : top + side, left : left + side]
    width = 1000 if large else int(rng.integers(300, 501))
    height = 1000 if large else int(rng.integers(300, 501))
    shown = cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC)
    shown = np.rot90(shown, int(rng.integers(4))).astype(np.float32)
    noise = rng.normal(0, 4, shown.shape[:2]).astype(np.float32)
    done, content = cv2.imencode(".jpg", np.clip(shown + noise[..., None], 0, 255).astype(np.uint8),
                                 [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return content.tobytes()
