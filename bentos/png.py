"""PNG files that cost a decoder far more than their image, refused before it sees them.

OpenCV makes room for a chunk of the length that its header states, up to 4 GB, before it looks
whether there are so many bytes. libpng stops making pixels at the image's end, but inflates to the
end of the data: three seconds of a CPU for each megabyte of body; compressed text the same.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

from mlops_assets.contracts.pixels import UndecodableImage

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
HARMLESS_BYTES: Final = 4096
MAX_CHUNKS: Final = 20_000
MAX_TEXT_BYTES: Final = 32 * 1024
_PIECE: Final = 64 * 1024
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_CHUNK: Final = struct.Struct(">I4s")
_HEADER: Final = struct.Struct(">IIBB")


def refuse_png_bomb(content: bytes) -> None:
    """Check the chunks of a PNG, and where its data are many, what they inflate to.

    Costs no more than to decode it. Other formats are left alone.

    Raises:
        UndecodableImage: a chunk goes past the end, the data inflate to more than the image, or
            there are more than ``MAX_CHUNKS`` chunks or ``MAX_TEXT_BYTES`` of compressed text.
    """
    if not content.startswith(SIGNATURE):
        return
    pieces = _image_data(content)
    if sum(map(len, pieces)) <= HARMLESS_BYTES:
        return
    room = _most_bytes(content)
    inflate = zlib.decompressobj()
    for piece in pieces:
        left: bytes | memoryview = piece
        while left and not inflate.eof:
            try:
                room -= len(inflate.decompress(left, _PIECE))
            except zlib.error:
                return  # damaged: the decoder says so, and reads no further
            if room < 0:
                raise UndecodableImage("the data of the png inflate to more than its image")
            left = inflate.unconsumed_tail


def _image_data(content: bytes) -> list[memoryview]:
    found: list[memoryview] = []
    text, position, view = 0, len(SIGNATURE), memoryview(content)
    for _ in range(MAX_CHUNKS):
        if position + _CHUNK.size > len(content):
            return found
        length, kind = _CHUNK.unpack_from(content, position)
        start, position = position + 8, position + 12 + length
        if position > len(content):
            raise UndecodableImage("the png is cut off")
        if kind == b"IDAT":
            found.append(view[start : start + length])
        elif kind == b"zTXt" or (kind == b"iTXt" and _is_compressed(content, start)):
            text += length
            if text > MAX_TEXT_BYTES:
                raise UndecodableImage(
                    f"the png has more than {MAX_TEXT_BYTES} bytes of compressed text")
        elif kind == b"IEND":
            return found
    raise UndecodableImage(f"the png has more than {MAX_CHUNKS} chunks")


def _is_compressed(content: bytes, start: int) -> bool:
    """Whether the text of an `iTXt` chunk is: a flag behind its keyword of at most 79 bytes."""
    end = content.find(b"\0", start, start + 80)
    return content[end + 1 : end + 2] != b"\0"


def _most_bytes(content: bytes) -> int:
    """No less than the bytes of all filtered rows, interlaced or not."""
    width, height, depth, colour = _HEADER.unpack_from(content, 16)
    row: int = width * depth * _SAMPLES.get(colour, 4) // 8
    rows: int = height + 16
    return 2 * (row + 16) * rows
