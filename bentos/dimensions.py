"""Width and height from an image's header, before anything is decoded.

A decompression bomb says how large it is: a few bytes of header are read and no pixel is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from mlops_assets.contracts.pixels import ImageFormat, UndecodableImage

Size = tuple[int, int]

# Frame headers: every SOF marker but DHT (C4), JPG (C8) and DAC (CC), which share its range.
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def read_size(content: bytes, form: ImageFormat) -> Size:
    """``(width, height)`` in pixels as the header of ``content`` states them.

    Raises:
        UndecodableImage: the header is cut off or states no positive size.
    """
    try:
        width, height = _READERS[form](content)
    except (struct.error, IndexError) as error:
        raise UndecodableImage(f"the {form} header is cut off") from error
    if width <= 0 or height <= 0:
        raise UndecodableImage(f"the {form} header states a size of {width} x {height}")
    return width, height


def _png(content: bytes) -> Size:
    width, height = struct.unpack_from(">II", content, 16)
    return width, height


def _gif(content: bytes) -> Size:
    width, height = struct.unpack_from("<HH", content, 6)
    return width, height


def _bmp(content: bytes) -> Size:
    (header,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", content, 18)
    return width, abs(height)


def _jpeg(content: bytes) -> Size:
    position = 2
    while True:
        marker = content[position + 1]
        if content[position] != 0xFF:
            raise UndecodableImage("the jpeg header is damaged")
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        if marker in _JPEG_BARE:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        if length < 2:
            raise UndecodableImage("the jpeg header is damaged")
        position += 2 + length


def _webp(content: bytes) -> Size:
    chunk = content[12:16]
    if chunk == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack_from("<HBHB", content, 24)
        return (high_w << 16 | low_w) + 1, (high_h << 16 | low_h) + 1
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise UndecodableImage("the webp header names no image chunk")


def _tiff(content: bytes) -> Size:
    order = "<" if content[:2] == b"II" else ">"
    (position,) = struct.unpack_from(order + "I", content, 4)
    (entries,) = struct.unpack_from(order + "H", content, position)
    sides = {256: 0, 257: 0}
    for entry in range(entries):
        at = position + 2 + 12 * entry
        tag, kind = struct.unpack_from(order + "HH", content, at)
        if tag in sides:
            (sides[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), content, at + 8)
    return sides[256], sides[257]


_READERS: Final[dict[ImageFormat, Callable[[bytes], Size]]] = {
    "png": _png,
    "gif": _gif,
    "bmp": _bmp,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
