"""Images of a split as encoded bytes, decoded when they are asked for.

For splits whose pixels would not fit the budget: one file has the bytes of all images, one after
the other, and an array says where each begins. A gather decodes its rows on all cores and gives the
pixels that a decoded shard has, byte for byte, so training gives the same model.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from mlops_assets.provenance.hashing import canonical_json
from resources.engine import usable_cores

# Images a task: handing over each by itself would cost more than decoding a small one.
CHUNK: Final = 16


def blob_file(split: str) -> str:
    """The file with the images' bytes."""
    return f"{split}-images.bin"


def places_file(split: str) -> str:
    """The file that says where they are: int64 ``[N, 2]``, start and size."""
    return f"{split}-places.npy"


def spec_file(split: str) -> str:
    """The file with the shape to decode to."""
    return f"{split}-pixels.json"


class EncodedWriter:
    """Writes the images of a split in any order, each for its row."""

    def __init__(self, folder: Path, split: str, rows: int, pixels: PixelSpec) -> None:
        self._folder: Final = folder
        self._split: Final = split
        self._places: Final = np.full((rows, 2), -1, np.int64)
        self._end = 0
        self._file: BinaryIO = (folder / blob_file(split)).open("wb")
        (folder / spec_file(split)).write_bytes(canonical_json(pixels.model_dump(mode="json")))

    def write(self, row: int, content: bytes) -> None:
        """Append one image."""
        self._file.write(content)
        self._places[row] = self._end, len(content)
        self._end += len(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if kind is None:
            np.save(self._folder / places_file(self._split), self._places)


class EncodedImages:
    """Behaves as uint8 ``[N, H, W, C]`` to who gathers rows: by number, slice or array of numbers.

    Raises:
        UndecodableImage: bytes are damaged; they could be decoded when the shard was written.
    """

    dtype: Final = np.dtype(np.uint8)
    ndim: Final = 4

    def __init__(self, folder: Path, split: str) -> None:
        self._pixels: Final = PixelSpec.model_validate_json(
            (folder / spec_file(split)).read_bytes())
        self._places: Final[NDArray[np.int64]] = np.load(folder / places_file(split))
        blob = folder / blob_file(split)
        self._blob: Final[NDArray[np.uint8]] = (
            np.memmap(blob, np.uint8, "r") if blob.stat().st_size else np.zeros(0, np.uint8))
        self.shape: Final = (len(self._places), *self._pixels.shape)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        if isinstance(key, int | np.integer):
            return self._decode(int(key))
        rows = np.arange(len(self))[key]
        found = np.empty((len(rows), *self._pixels.shape), np.uint8)

        def fill(start: int) -> None:
            for place in range(start, min(start + CHUNK, len(rows))):
                found[place] = self._decode(int(rows[place]))

        list(_pool().map(fill, range(0, len(rows), CHUNK)))
        return found

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _decode(self, row: int) -> NDArray[np.uint8]:
        start, size = self._places[row]
        return decode_pixels(self._blob[start : start + size].tobytes(), self._pixels)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")
