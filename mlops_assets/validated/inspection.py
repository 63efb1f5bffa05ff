"""Inspection of one image: what it is, or the reason why it can not be used."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Final

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mlops_assets.config import ValidationSettings
from mlops_assets.contracts.manifest import THUMBNAIL_SIDE, Reason
from mlops_assets.contracts.pixels import ImageFormat, sniff_format
from mlops_assets.validated.issues import SIDE, Look, look_at, shrink, within_side

# The header's dimensions are compared with `max_pixels` before a pixel is decoded, so Pillow's
# own guard, which only warns below twice its limit, is not needed.
Image.MAX_IMAGE_PIXELS = None

# Of a JPEG that is decoded smaller: one of 1,000 px comes in 250 px, and not in 500. Much less
# would make it look sharper than the same picture in another format.
LEAST_SIDE: Final = SIDE * 31 // 32
MODES: Final = frozenset({"1", "L", "P", "RGB", "RGBA", "LA", "PA"})
EXTENSIONS: Final[dict[str, ImageFormat]] = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".bmp": "bmp",
    ".tif": "tiff", ".tiff": "tiff", ".gif": "gif",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an image is quarantined; ``detail`` gives the figures."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a good image is.

    ``mean`` and ``std`` are over all pixel values, 0-255, of a large JPEG after it was shrunk;
    ``thumbnail`` is 16 x 16 grey uint8, row by row; ``look`` is what oddities are told from.
    """

    format: ImageFormat
    mode: str
    width: int
    height: int
    mean: float
    std: float
    thumbnail: bytes
    look: Look


def inspect_image(content: bytes, source: str, limits: ValidationSettings) -> Facts | Fault:
    """Look at one encoded image; ``source`` is its name, whose extension must be true."""
    if not content:
        return Fault("zero-bytes", "the file is empty")
    found = sniff_format(content)
    if found is None:
        return Fault("not-an-image", f"begins with {content[:8]!r}")
    extension = PurePosixPath(source).suffix.lower()
    if EXTENSIONS.get(extension, found) != found:
        return Fault("wrong-extension", f"named {extension}, but is {found}")
    try:
        with Image.open(io.BytesIO(content), formats=[found.upper()]) as image:
            return _header_fault(image, limits) or _decode(image, found, limits)
    except UnidentifiedImageError:
        # Its own words have the address of the object that was read.
        return Fault("truncated", f"the header of the {found} can not be read")
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        return Fault("truncated", str(error) or type(error).__name__)


def _header_fault(image: Image.Image, limits: ValidationSettings) -> Fault | None:
    width, height = image.size
    if min(width, height) < limits.min_side:
        return Fault("too-small", f"{width}x{height}; the least side is {limits.min_side}")
    if width * height > limits.max_pixels:
        return Fault("too-large", f"{width}x{height}; at most {limits.max_pixels} pixels")
    if getattr(image, "n_frames", 1) > 1:
        return Fault("animated", f"{getattr(image, 'n_frames', 1)} frames")
    if image.mode not in MODES:
        return Fault("unsupported-mode", f"mode {image.mode}; 8-bit grey or RGB is needed")
    return None


def _decode(image: Image.Image, found: ImageFormat, limits: ValidationSettings) -> Facts | Fault:
    mode, (width, height) = image.mode, image.size
    # A large JPEG is read to its end, and its pixels come at a half, quarter or eighth of its size.
    image.draft(mode, (LEAST_SIDE, LEAST_SIDE))
    image.load()
    flat = image if mode in ("L", "RGB") else image.convert("L" if mode in ("1", "LA") else "RGB")
    pixels = np.asarray(flat)
    mean, std = (float(value[0, 0]) for value in cv2.meanStdDev(pixels.reshape(-1)))
    if std < limits.blank_std:
        return Fault("blank", f"standard deviation {std:.2f}; at least {limits.blank_std:g}")
    grey = within_side(np.asarray(
        pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8))
    small = shrink(grey, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    # Sides that were rounded would make another shape.
    look = replace(look_at(grey), aspect=min(width, height) / max(width, height))
    return Facts(found, mode, width, height, mean, std, small.tobytes(), look)
