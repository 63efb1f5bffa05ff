"""Families of shifts in several severities, for what they cost in accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from unittest.mock import patch

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.drift import shifts
from benchmarks.drift.images import SIDE

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Shown:
    """Images with their labels, the network that is to see them, and randomness."""

    images: Images
    labels: NDArray[np.int64]
    network: torch.nn.Module
    rng: np.random.Generator


Damage = Callable[[Shown], Images]


def _each(how: Callable[[Images], Images]) -> Damage:
    return lambda shown: np.stack([how(image) for image in shown.images])


def _noise(deviation: float) -> Damage:
    return lambda shown: shifts.add_noise(shown.images, deviation, shown.rng)


def _transform(size: str) -> Damage:
    return lambda shown: shifts.transform(
        shown.images, shifts.TRANSFORMS[size], shown.rng)


def _adversarial(step: float) -> Damage:
    def damage(shown: Shown) -> Images:
        with patch.object(shifts, "EPSILON", step):
            return shifts.attack(shown.network, shown.images, shown.labels)
    return damage


def _impulse(share: float) -> Damage:
    def damage(shown: Shown) -> Images:
        toss = shown.rng.random(shown.images.shape)
        white = np.where(toss > 1 - share / 2, 255, shown.images)
        return np.where(toss < share / 2, 0, white).astype(np.uint8)
    return damage


def _cover(side: int) -> Damage:
    def damage(shown: Shown) -> Images:
        covered = shown.images.copy()
        for image in covered:
            top, left = shown.rng.integers(0, SIDE - side + 1, 2)
            image[top : top + side, left : left + side] = 0
        return covered
    return damage


def _blur(width: float) -> Damage:
    return _each(lambda image: cv2.GaussianBlur(image, (0, 0), width))


def _level(factor: float, offset: float) -> Damage:
    """Contrast around the image's mean, then brightness."""
    def damage(image: Images) -> Images:
        mean = float(image.mean())
        return np.clip(np.rint((image - mean) * factor + mean + offset), 0, 255).astype(np.uint8)
    return _each(damage)


def _resample(side: int) -> Damage:
    def damage(image: Images) -> Images:
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
    return _each(damage)


FAMILIES: Final[dict[str, dict[str, Damage]]] = {
    "noise": {f"deviation {each}": _noise(each) for each in (1, 10, 25, 50, 100)},
    "impulses": {f"share {each}": _impulse(each) for each in (0.01, 0.03, 0.08, 0.15, 0.3)},
    "transform": {
        **{size: _transform(size) for size in shifts.TRANSFORMS},
        "upside down": _each(lambda image: np.ascontiguousarray(image[::-1]))},
    "blur": {f"width {each}": _blur(each) for each in (0.5, 0.8, 1.2, 1.8, 3.0)},
    "contrast": {f"factor {each}": _level(each, 0) for each in (1.6, 0.8, 0.5, 0.3, 0.15)},
    "brightness": {f"by {each}": _level(1, each) for each in (-60, -30, 15, 40, 80)},
    "adversarial": {f"step {each}": _adversarial(each) for each in (2, 4, 8, 16)},
    "occlusion": {f"side {each}": _cover(each) for each in (5, 9, 13, 17)},
    "resampling": {f"to {each}": _resample(each) for each in (20, 14, 9, 6)},
}
