"""The shifts of *Failing Loudly* (Rabanser, Günnemann & Lipton 2019), on uint8 images.

Noise has a standard deviation of 1, 10 or 100 grey levels. Image transforms are random rotation,
translation, shear, zoom and flips in three sizes. Adversarial images are FGSM's (Goodfellow et al.
2015), 16 grey levels, against the monitored model. Knock-out drops a share of class 0; only-zero
keeps nothing but class 0. The two combinations are a medium transform with each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, grid_sample

NOISE: Final = {"small": 1.0, "medium": 10.0, "large": 100.0}
EPSILON: Final = 16.0
Size = Literal["small", "medium", "large"]


@dataclass(frozen=True, slots=True)
class Transform:
    """Largest rotation in degrees, translation, shear and zoom as shares, and flips."""

    degrees: float
    move: float
    shear: float
    zoom: float
    flips: int


TRANSFORMS: Final = {
    "small": Transform(10, 0.05, 0.1, 0.1, 0),
    "medium": Transform(40, 0.2, 0.2, 0.2, 1),
    "large": Transform(90, 0.4, 0.3, 0.4, 2),
}


@dataclass(frozen=True, slots=True)
class Shift:
    """``change`` names what is done to an affected image, ``classes`` which rows are drawn.

    ``knock-out`` drops class 0 with the affected share as its probability; then the change, if
    any, meets every image. ``only-zero`` draws class 0 alone.
    """

    name: str
    change: str | None
    classes: Literal["all", "knock-out", "only-zero"] = "all"


SHIFTS: Final = (
    *(Shift(f"{size} noise", f"{size} noise") for size in NOISE),
    *(Shift(f"{size} transform", f"{size} transform") for size in TRANSFORMS),
    Shift("adversarial", "adversarial"),
    Shift("knock-out", None, "knock-out"),
    Shift("medium transform, knock-out", "medium transform", "knock-out"),
    Shift("medium transform, only zero", "medium transform", "only-zero"),
)


def add_noise(
    images: NDArray[np.uint8], deviation: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Gaussian noise in grey levels, rounded and clipped."""
    noisy = images + rng.normal(0, deviation, images.shape).astype(np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def transform(
    images: NDArray[np.uint8], form: Transform, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A random affine map an image, bilinear, the nearest pixel beyond the border."""
    count = len(images)

    def vary(limit: float) -> NDArray[np.float64]:
        return rng.uniform(-limit, limit, count)

    angle, shear = np.deg2rad(vary(form.degrees)), vary(form.shear)
    zoom_x, zoom_y = 1 + vary(form.zoom), 1 + vary(form.zoom)
    flip_x = np.where(rng.random(count) < 0.5 * (form.flips >= 1), -1, 1)
    flip_y = np.where(rng.random(count) < 0.5 * (form.flips >= 2), -1, 1)
    theta = np.stack([
        np.stack([np.cos(angle) * zoom_x * flip_x, -np.sin(angle + shear) * zoom_y,
                  2 * vary(form.move)], axis=1),
        np.stack([np.sin(angle) * zoom_x, np.cos(angle + shear) * zoom_y * flip_y,
                  2 * vary(form.move)], axis=1),
    ], axis=1)
    pixels = torch.from_numpy(images).float()[:, None]
    field = affine_grid(torch.from_numpy(theta).float(), list(pixels.shape), align_corners=False)
    moved = grid_sample(pixels, field, padding_mode="border", align_corners=False)
    return moved[:, 0].round().clamp(0, 255).to(torch.uint8).numpy()


def attack(
    network: torch.nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """One signed gradient step up the loss."""
    found = []
    for start in range(0, len(images), 1000):
        pixels = torch.from_numpy(images[start : start + 1000]).float()[:, None] / 255
        pixels.requires_grad_()
        logits, _ = network(pixels)
        loss = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(labels[start : start + 1000]))
        (gradient,) = torch.autograd.grad(loss, pixels)
        moved = (pixels * 255 + EPSILON * gradient.sign()).detach()
        found.append(moved[:, 0].round().clamp(0, 255).to(torch.uint8).numpy())
    return np.concatenate(found)


def change(
    name: str, images: NDArray[np.uint8], labels: NDArray[np.int64], network: torch.nn.Module
) -> NDArray[np.uint8]:
    """All ``images`` under one change by name."""
    rng = np.random.default_rng(sum(map(ord, name)))
    if name == "adversarial":
        return attack(network, images, labels)
    size, kind = name.split()
    if kind == "noise":
        return add_noise(images, NOISE[size], rng)
    return transform(images, TRANSFORMS[size], rng)
