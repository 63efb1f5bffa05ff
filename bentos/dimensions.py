"""Width and height from an image's header, before anything is decoded.

A decompression bomb says how large it is: a few bytes of header are read and no pixel is. What
says nothing (data that inflates past its image) is ``bentos.png``'s.
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
# Before the frame header: markers and fill bytes. Real files have tens, or hundreds.
_JPEG_STEPS: Final = 5_000
# Each scan of a progressive JPEG passes over every pixel, for a dozen bytes of body.
_JPEG_SCANNED: Final = 4_000_000_000
_TIFF_SIDES: Final = frozenset({256, 257, 322, 323})  # width and height, of image and tile
_TIFF_INTEGERS: Final = {3: "H", 4: "I"}


def read_size(content: bytes, form: ImageFormat) -> Size:
    """``(width, height)`` in pixels as the header of ``content`` states them.

    Where a decoder needs more memory than for the image (a TIFF's tile that is larger), that size.

    Raises:
        UndecodableImage: the header is cut off, states no positive size or two, or a JPEG is made
            of so many segments or scans that reading them is the purpose.
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
    width, height = _jpeg_frame(content)
    # Entropy-coded data has no FF DA, so this is no less than the number of scans.
    if content.count(b"\xff\xda") * width * height > _JPEG_SCANNED:
        raise UndecodableImage("the jpeg has too many scans for its size")
    return width, height


def _jpeg_frame(content: bytes) -> Size:
    position = 2
    for _ in range(_JPEG_STEPS):
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
    raise UndecodableImage("the jpeg header has too many segments")


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
    sides: dict[int, int] = {}
    for entry in range(entries):
        at = position + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(order + "HHI", content, at)
        if tag not in _TIFF_SIDES:
            continue
        # libtiff takes the first of several, and looks elsewhere for the value of other types.
        if tag in sides or count != 1 or kind not in _TIFF_INTEGERS:
            raise UndecodableImage("the tiff header does not state one size")
        (sides[tag],) = struct.unpack_from(order + _TIFF_INTEGERS[kind], content, at + 8)
    width, height = sides.get(256, 0), sides.get(257, 0)
    tile_width, tile_height = sides.get(322, 0), sides.get(323, 0)
    if 0 < width * height < tile_width * tile_height:
        return tile_width, tile_height
    return width, height


_READERS: Final[dict[ImageFormat, Callable[[bytes], Size]]] = {
    "png": _png,
    "gif": _gif,
    "bmp": _bmp,
    "jpeg": _jpeg,
    "webp": _webp,
    "tiff": _tiff,
}
