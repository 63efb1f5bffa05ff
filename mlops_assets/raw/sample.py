"""The first images of each class as small pictures, decoded while the snapshot is written."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mlops_assets.contracts.pixels import MAX_PIXELS, PixelSpec, sniff_format
from mlops_assets.raw.sources import RawImage

COLUMNS: Final = 10
# Of more classes a sheet of at most 100 KB shows nothing.
ROWS: Final = 100
# As large as a picture shows them, and small enough to be kept for each of many classes.
TILE_SIDE: Final = 40
# Images wait to be decoded; each holds its bytes.
WAITING: Final = 8
Tile = NDArray[np.uint8]


class Sample:
    """Keeps the first ``COLUMNS`` images that can be decoded of the first ``ROWS`` classes.

    They are decoded by a thread of its own, which ends with the block.
    """

    def __init__(self, pixels: PixelSpec) -> None:
        self._pixels: Final = pixels
        self._pool: Final = ThreadPoolExecutor(1, thread_name_prefix="sample")
        self._tiles: Final[dict[str, list[Future[Tile | None]]]] = {}
        self._full: Final[set[str]] = set()
        self._waiting: Final[deque[Future[Tile | None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def watch(self, images: Iterable[RawImage]) -> Iterator[RawImage]:
        """The images, unchanged."""
        for image in images:
            if image.label not in self._full:
                self._offer(image)
            yield image

    def rows(self) -> list[tuple[str, list[Tile]]]:
        """Each class that has a picture and its pictures, uint8 ``[H, W, C]``; sorted by name."""
        found = {label: [tile for each in tiles if (tile := each.result()) is not None]
                 for label, tiles in self._tiles.items()}
        return sorted((label, shown) for label, shown in found.items() if shown)

    def _offer(self, image: RawImage) -> None:
        if image.label not in self._tiles and len(self._tiles) == ROWS:
            return
        tiles = self._tiles.setdefault(image.label, [])
        if len(tiles) == COLUMNS:
            # Another takes the place of one that could not be decoded.
            tiles[:] = [each for each in tiles if each.result() is not None]
        if len(tiles) == COLUMNS:
            self._full.add(image.label)
        else:
            if len(self._waiting) == WAITING:
                self._waiting.popleft().result()
            tiles.append(self._pool.submit(decode_tile, image.content, self._pixels))
            self._waiting.append(tiles[-1])


def decode_tile(content: bytes, pixels: PixelSpec) -> Tile | None:
    """A small picture of an image as training sees it, uint8 ``[H, W, C]``.

    It takes less than decoding all pixels. None of what can not be shown: validation says why.
    """
    mode = "L" if pixels.channels == 1 else "RGB"
    size = (min(pixels.width, TILE_SIDE), min(pixels.height, TILE_SIDE))
    found = sniff_format(content)
    if found is None:
        return None
    try:
        with Image.open(io.BytesIO(content), formats=[found.upper()]) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.draft(mode, size)
            shown = ImageOps.exif_transpose(image).convert(mode).resize(size, reducing_gap=2.0)
    except Exception:
        # Damaged EXIF raises whatever its parser does.
        return None
    return np.asarray(shown, np.uint8).reshape(*size[::-1], pixels.channels)
