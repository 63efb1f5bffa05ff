"""A heat map over its image, as a picture for a person."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SIDE: Final = 224
# How much of the picture is colour where the heat is nothing, and where it is largest.
FAINT, STRONG = 0.35, 0.8
# ColorBrewer's RdBu from blue (against) over white to red (for), RGB.
_DIVERGING: Final = (
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
    (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
)


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> bytes:
    """PNG of an image, uint8 ``[H, W, C]`` (C 1 or 3, RGB), under its heat, float32 ``[H, W]``.

    The longer side is at least 224 pixels. Heat without negative values is drawn dark to bright
    (inferno), else blue (negative) over white to red; the largest absolute value has the full
    colour.

    Raises:
        ValueError: the shapes differ, or a value is not finite.
    """
    if heat.shape != pixels.shape[:2] or not np.isfinite(heat).all():
        raise ValueError(f"heat {heat.shape} is not finite, or no map of pixels {pixels.shape}")
    height, width = pixels.shape[:2]
    scale = max(1, -(-MIN_SIDE // max(height, width)))
    size = (width * scale, height * scale)
    grey = pixels[..., 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    enlarged = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST))[..., None]
    largest = float(np.abs(heat).max()) or 1.0
    strength = np.asarray(cv2.resize(heat / largest, size), np.float32)
    share = (FAINT + (STRONG - FAINT) * np.abs(strength))[..., None]
    colour = _colour(strength, signed=bool((heat < 0).any()))
    picture = np.add(enlarged * (1 - share), colour * share)
    worked, content = cv2.imencode(".png", np.rint(picture).astype(np.uint8))
    if not worked:
        raise ValueError("the picture could not be encoded")
    return content.tobytes()


def _colour(strength: NDArray[np.float32], *, signed: bool) -> NDArray[np.uint8]:
    """BGR uint8 ``[H, W, 3]`` of values in -1..1 (signed) or 0..1."""
    if not signed:
        levels = np.rint(np.clip(strength, 0, 1) * 255).astype(np.uint8)
        return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), np.uint8)
    stops = np.linspace(-1, 1, len(_DIVERGING))
    channels = [np.interp(strength, stops, [stop[channel] for stop in _DIVERGING])
                for channel in (2, 1, 0)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
