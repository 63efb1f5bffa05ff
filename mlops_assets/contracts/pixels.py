"""How encoded image bytes become the pixels a model sees.

Training shards and the service call the same function, so an image gives the same pixels on
both sides, byte for byte.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_PIXELS: Final = 50_000_000
SNIFF_BYTES: Final = 16

ImageFormat = Literal["png", "jpeg", "webp", "bmp", "tiff", "gif"]


def _from_text(value: object) -> object:
    """Environment variables give text, which ``Literal`` does not convert."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Channels = Annotated[Literal[1, 3], BeforeValidator(_from_text)]


class UndecodableImage(ValueError):
    """The bytes are not an image that this contract decodes."""


class PixelSpec(BaseModel):
    """Shape of one decoded image: ``height`` x ``width`` x ``channels``, uint8, values 0-255."""

    model_config = ConfigDict(frozen=True)

    height: int = Field(gt=0, le=4096)
    width: int = Field(gt=0, le=4096)
    channels: Channels = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)``."""
        return (self.height, self.width, self.channels)


def sniff_format(content: bytes) -> ImageFormat | None:
    """Name the container format from its magic bytes, or None when it is no known image."""
    head = content[:SNIFF_BYTES]
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM"):
        return "bmp"
    if head[:4] in (b"II*\x00", b"MM\x00*"):
        return "tiff"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    return None


def decode_pixels(content: bytes, spec: PixelSpec) -> NDArray[np.uint8]:
    """Decode one image to ``spec.shape`` uint8, RGB channel order, EXIF rotation applied.

    Shrinking averages over the covered area (``cv2.INTER_AREA``), enlarging is bilinear.

    Raises:
        UndecodableImage: the bytes are empty, not an image, or damaged.
    """
    if not content:
        raise UndecodableImage("the image is empty (0 bytes)")
    flag = cv2.IMREAD_GRAYSCALE if spec.channels == 1 else cv2.IMREAD_COLOR_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        raise UndecodableImage(f"the image can not be decoded: {error.err}") from error
    if pixels is None:
        raise UndecodableImage("the bytes are not a decodable image")
    if pixels.shape[:2] != (spec.height, spec.width):
        shrinks = pixels.shape[0] > spec.height or pixels.shape[1] > spec.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (spec.width, spec.height), interpolation=how)
    return np.ascontiguousarray(pixels.reshape(spec.shape), dtype=np.uint8)
