"""Images that are small themselves, and huge in what they say or in what they inflate to."""

from __future__ import annotations

import struct
import zlib
from functools import cache

import cv2
import numpy as np


def chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *more: bytes, data: bytes | None = None) -> bytes:
    """A grey PNG that says this size; ``data`` is its compressed rows, else too few."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100)) if data is None else data
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more)
            + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


@cache
def zeros(megabytes: int) -> bytes:
    """So many megabytes of nothing, compressed a thousandfold."""
    return zlib.compress(bytes(megabytes * 1_000_000), 9)


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"", order: str = "<") -> bytes:
    """A TIFF of one directory; an entry is tag, type, count and value."""
    table = b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return head + data + struct.pack(order + "H", len(entries)) + table + bytes(4)


def grey_tiff(width: int, height: int, *more: tuple[int, int, int, int], data: bytes) -> bytes:
    """A deflated grey TIFF; ``more`` says where ``data`` belongs. They begin at byte 8."""
    return tiff((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 8),
                (262, 3, 1, 1), (277, 3, 1, 1), *more, data=data)


def tile_bomb(side: int, megabytes: int) -> bytes:
    """A TIFF of 10 x 10 pixels in one tile of ``side`` x ``side``."""
    data = zeros(megabytes)
    return grey_tiff(10, 10, (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 8),
                     (325, 4, 1, len(data)), data=data)


def webp(kind: bytes, data: bytes) -> bytes:
    """A WebP of one chunk."""
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_frame(width: int, height: int) -> bytes:
    """A JPEG's frame header and no data."""
    return (b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width)
            + b"\x01\x01\x11\x00" + b"\xff\xd9")


def jpeg_scans(side: int, scans: int) -> bytes:
    """A progressive grey JPEG whose last scan comes ``scans`` times; 1 is as it should be."""
    worked, content = cv2.imencode(
        ".jpg", np.zeros((side, side), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert worked
    begun, last = content.tobytes().removesuffix(b"\xff\xd9").rsplit(b"\xff\xda", 1)
    return begun + (b"\xff\xda" + last) * scans + b"\xff\xd9"


def bmp(width: int, height: int) -> bytes:
    """A BMP's headers, and two pixels."""
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 1,
                               1, 0, 0) + bytes(6)


@cache
def bombs() -> tuple[bytes, ...]:
    """One of every kind, each less than a megabyte."""
    many, most, data, rows = 40_000, 0xFFFF, zeros(20), zlib.compress(bytes(130))
    strip = ((273, 4, 1, 8), (278, 4, 1, many), (279, 4, 1, len(data)))
    return (
        png(many, many), png(1, 0x7FFFFFFF), png(0xFFFFFFFF, 0xFFFFFFFF), png(0, 7),
        png(12, 10, data=data), png(12, 10, chunk(b"zTXt", b"a\0\0" + data), data=rows),
        png(12, 10, *[chunk(b"zTXt", b"a\0\0" + data)] * 9, data=rows),
        png(12, 10, chunk(b"iCCP", b"a\0\0" + data), data=rows),
        png(12, 10, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + data), data=rows),
        png(12, 10, *[chunk(b"tEXt", b"")] * 30_000, data=rows),
        b"GIF89a" + struct.pack("<HHBBB", most, most, 0, 0, 0) + b";",
        bmp(many, -many), bmp(5, -(2**31)), bmp(2**31 - 1, 2**31 - 1),
        grey_tiff(many, many, *strip, data=data), tiff((256, 3, 1, most), (257, 3, 1, most)),
        grey_tiff(many, many, (256, 4, 1, 9), (257, 4, 1, 9), *strip, data=data),
        tiff((256, 16, 1, 8), (257, 16, 1, 8), *strip, data=struct.pack("<Q", many) + data),
        tile_bomb(4_000, 16), tile_bomb(16_000, 20), tiff(*[(300, 3, 1, 1)] * 60_000),
        webp(b"VP8X", bytes(4) + b"\xff" * 6), webp(b"VP8L", b"\x2f" + b"\xff" * 4),
        webp(b"VP8 ", b"\x30\x01\x00\x9d\x01\x2a" + b"\xff\x3f" * 2),
        jpeg_frame(most, most), jpeg_scans(900, 6_000), b"\xff\xd8" + b"\xff\xfe\0\2" * 200_000,
        b"\xff\xd8" + b"\xff" * 800_000, b"\xff\xd8" + b"\xff\xd0" * 400_000,
    )
