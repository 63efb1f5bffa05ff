"""No image takes more memory or time than its size says, and no size is a lie."""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from bentos.dimensions import read_size
from bentos.png import refuse_png_bomb
from bentos.problems import Problem
from bentos.uploads import check_image
from mlops_assets.contracts.pixels import (
    PixelSpec,
    UndecodableImage,
    decode_pixels,
    sniff_format,
)
from tests.bombs import bombs, chunk, jpeg_scans, png, tiff, tile_bomb, zeros
from tests.hostile_images import hostile_image, mutated
from tests.memory import forget_peak, peak
from tests.model_dir import encode

SPEC = PixelSpec(height=12, width=10)
LIMIT = 1_000_000
# What is taken beyond the image itself, at any moment; a good one of a million pixels takes 4 MiB.
PEAK_BYTES = 24 * 1024 * 1024
CPU_SECONDS = 1.0
LOOP_SECONDS = 0.15  # on the event loop, where all requests wait
ROWS = zlib.compress(bytes(130))


def taken(content: bytes) -> bool:
    """Go the way of an upload; whether it is an image."""
    try:
        check_image(content, max_pixels=LIMIT)
        refuse_png_bomb(content)
        decode_pixels(content, SPEC)
    except (Problem, UndecodableImage):
        return False
    return True


def cost(content: bytes) -> tuple[int, float]:
    """Bytes at the highest moment, and seconds of CPU, whoever else is busy."""
    forget_peak()
    before, started = peak(), time.process_time()
    taken(content)
    return peak() - before, time.process_time() - started


def long_chunk(length: int) -> bytes:
    """A PNG with a chunk that says it is so long; OpenCV would make room for it."""
    good = png(12, 10, data=ROWS)
    at = good.index(b"IDAT") - 4
    return good[:at] + struct.pack(">I", length) + good[at + 4:]


@pytest.mark.parametrize("make", [
    pytest.param(lambda: tile_bomb(15_000, 225), id="a tile of 225 MB for 10 x 10 pixels"),
    pytest.param(lambda: long_chunk(0x7FFFFFFF), id="a chunk of 2 GB"),
    pytest.param(lambda: long_chunk(0xF0000000), id="a chunk of 4 GB"),
    pytest.param(lambda: png(12, 10, data=zeros(900)), id="900 MB of rows"),
    pytest.param(lambda: png(12, 10, *[chunk(b"zTXt", b"a\0\0" + zeros(5))] * 180, data=ROWS),
                 id="900 MB of text"),
    pytest.param(lambda: jpeg_scans(900, 60_000), id="60,000 scans"),
])
def test_large_bomb_costs_no_more_than_an_image(make: Callable[[], bytes]) -> None:
    content = make()
    took, seconds = cost(content)
    assert took < PEAK_BYTES
    assert seconds < CPU_SECONDS
    assert not taken(content)


@pytest.mark.parametrize("content", [
    b"\xff\xd8" + b"\xff\xfe\0\2" * 2_500_000, b"\xff\xd8" + b"\xff" * 10_000_000,
    b"\xff\xd8" + b"\xff\xd0" * 5_000_000, jpeg_scans(900, 500_000),
    tiff(*[(300, 3, 1, 1)] * 65_535),
], ids=["segments", "fill bytes", "restarts", "scans", "tags"])
def test_header_of_ten_megabytes_holds_nobody_up(content: bytes) -> None:
    started = time.process_time()
    with pytest.raises(Problem):
        check_image(content, max_pixels=LIMIT)
    assert time.process_time() - started < LOOP_SECONDS


def test_small_bombs_cost_no_more_than_an_image() -> None:
    chance = random.Random(2)
    for content in (*bombs(), *(hostile_image(chance) for _ in range(5_000))):
        took, seconds = cost(content)
        assert took < PEAK_BYTES, content[:200]
        assert seconds < CPU_SECONDS, content[:200]


def test_what_is_decoded_is_no_larger_than_what_was_checked() -> None:
    chance, decoded = random.Random(3), 0
    for _ in range(20_000):
        content = mutated(chance)
        form = sniff_format(content)
        if form is None or not taken(content):
            continue
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        width, height = read_size(content, form)
        assert pixels.size <= width * height, content[:200]
        decoded += 1
    assert decoded > 2_000


@pytest.mark.parametrize("content", [
    cv2.imencode(".png", np.random.default_rng(0).integers(
        0, 65_536, (300, 500, 4), np.uint16))[1].tobytes(),
    encode(np.zeros((990, 990, 3), np.uint8), ".png"),
    encode(np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8), ".tiff"),
    jpeg_scans(900, 1), jpeg_scans(900, 1) + random.Random(0).randbytes(5_000_000),
    png(12, 10, chunk(b"zTXt", b"a\0\0" + zeros(1)), data=ROWS),
    png(12, 10, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + bytes(200_000)), data=ROWS),
    tile_bomb(256, 1), png(12, 10, data=ROWS) + b"what a camera adds",
])
def test_honest_image_is_taken(content: bytes) -> None:
    assert taken(content)
