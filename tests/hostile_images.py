"""Images made to harm: cut off, altered, lying about themselves, or of two kinds at once."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import cache
from typing import Final

from mlops_assets.contracts.pixels import PixelSpec
from tests.bombs import bombs
from tests.model_dir import encode, random_image

Random = random.Random
MARKS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 16, 17, 18, 0x7F, 0x80, 0xFE, 0xFF)
SUFFIXES: Final = (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif")
TEXTS: Final = (
    b"<html><script>fetch('http://127.0.0.1/')</script></html>", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj",
    b"PK\x03\x04" + bytes(26), b"\x7fELF" + bytes(60), b"#!/bin/sh\nexit 1\n", b"GIF89a/*",
    b"<?php system($_GET['c']); ?>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM", b"II*\0",
    b"*/=1;",
)


@cache
def good_images() -> tuple[bytes, ...]:
    """Small ones of every format, grey and in colour."""
    sizes = [PixelSpec(height=height, width=width, channels=channels)
             for height, width in ((12, 10), (40, 30)) for channels in (1, 3)]
    return tuple(encode(random_image(1, size), suffix) for size in sizes for suffix in SUFFIXES
                 if suffix != ".gif" or size.channels == 3)


def truncated(random: Random) -> bytes:
    """Cut off anywhere, most often in its header."""
    content = random.choice(good_images())
    return content[:random.randrange(1, random.choice((40, len(content))))]


def mutated(random: Random) -> bytes:
    """A few bytes altered, moved, removed or added, where headers are."""
    content = bytearray(random.choice(good_images()))
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        near = min(len(content), 200)
        at = random.randrange(near)
        if content[:2] in (b"II", b"MM") and random.random() < 0.7:  # TIFF's header is its end
            at += len(content) - near
        match random.randrange(6):
            case 0 | 1:
                content[at] = random.choice(MARKS)
            case 2:
                content[at] ^= 1 << random.randrange(8)
            case 3:
                other = random.randrange(max(1, len(content) - 12))
                content[at:at + 12] = content[other:other + 12]
            case 4 if len(content) > 60:
                del content[at:at + random.choice((1, 2, 4, 12))]
            case _:
                content[at:at] = random.randbytes(random.choice((1, 2, 4)))
    return bytes(content)


def spliced(random: Random) -> bytes:
    """The beginning of one and the end of another."""
    one, other = random.choice(good_images()), random.choice(good_images())
    return one[:random.randrange(len(one))] + other[random.randrange(len(other)):]


def lying(random: Random) -> bytes:
    """Four bytes somewhere say another length, offset or size."""
    content = bytearray(random.choice(good_images()))
    at = random.randrange(len(content) - 4)
    number = random.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(content), 1 << 24))
    content[at:at + 4] = struct.pack(random.choice("<>") + "I", number)
    return bytes(content)


def polyglot(random: Random) -> bytes:
    """An image and something else: behind it, before it, in it, or only its first bytes."""
    content, text = random.choice(good_images()), random.choice(TEXTS)
    at = random.randrange(len(content))
    return random.choice((content + text, text + content, content[:at] + text + content[at:],
                          content[:random.randrange(2, 32)] + text * random.randrange(1, 9), text))


def bomb(random: Random) -> bytes:
    """Small itself, and huge in what it says or in what it inflates to."""
    return random.choice(bombs())


KINDS: Final[tuple[Callable[[Random], bytes], ...]] = (
    truncated, mutated, mutated, mutated, spliced, lying, polyglot, bomb)


def hostile_image(random: Random) -> bytes:
    """One of any kind. Some are images all the same."""
    return random.choice(KINDS)(random)
