"""Ways in which production may change, by name: what is done to an image before it is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.errors import PlatformError

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels, np.random.Generator], Pixels]


class UnknownShift(PlatformError):
    """There is no shift of this name."""


def _clip(image: NDArray[Any]) -> Pixels:
    clipped: Pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return clipped


def _scaled(factor: float, offset: float = 0.0) -> Change:
    def change(image: Pixels, _: np.random.Generator) -> Pixels:
        return _clip(np.asarray(image, np.float32) * np.float32(factor) + np.float32(offset))

    return change


def _noise(image: Pixels, rng: np.random.Generator) -> Pixels:
    return _clip(image + rng.normal(0, 40, image.shape))


def _blur(image: Pixels, _: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(1.0, min(image.shape[:2]) / 16)),
                      np.uint8)


def _rotated(image: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), rng.uniform(-60, 60), 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height)), np.uint8)


def _blocks(image: Pixels, _: np.random.Generator) -> Pixels:
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // 4), max(1, height // 4)),
                       interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST),
                      np.uint8)


SHIFTS: Final[dict[str, tuple[Change, str]]] = {
    "none": (lambda image, _: image, "images as they are"),
    "brighter": (_scaled(1.0, 8.0), "8 grey levels brighter: seen, and harmless"),
    "dark": (_scaled(0.35), "a third of the light"),
    "low-contrast": (_scaled(0.4, 76.0), "washed out"),
    "inverted": (_scaled(-1.0, 255.0), "a negative"),
    "noise": (_noise, "a noisy sensor"),
    "blur": (_blur, "out of focus"),
    "rotated": (_rotated, "turned by up to 60 degrees"),
    "upside-down": (lambda image, _: image[::-1, ::-1].copy(), "a camera mounted upside down"),
    "mirrored": (lambda image, _: image[:, ::-1].copy(), "left and right swapped"),
    "blocks": (_blocks, "a quarter of the resolution"),
}


def shift(content: bytes, name: str, rng: np.random.Generator) -> bytes:
    """An encoded image after a shift, as PNG; `none` leaves the bytes as they are.

    Raises:
        UnknownShift: ``name`` is not in ``SHIFTS``.
        ValueError: the bytes are no image.
    """
    if name not in SHIFTS:
        raise UnknownShift(f"there is no shift `{name}`; known: {', '.join(SHIFTS)}")
    if name == "none":
        return content
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("the bytes are no image")
    changed = SHIFTS[name][0](np.asarray(image, np.uint8), rng)
    return cv2.imencode(".png", changed)[1].tobytes()
