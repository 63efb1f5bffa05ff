"""Training shards: the pixels of each split, in the order of the dataset's rows.

One memory-mapped uint8 array where the decoded pixels fit the budget, else encoded bytes that are
decoded when they are gathered (see ``encoded``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.contracts.manifest import CLASSES_FILE, ROWS_FILE, SPLITS, Split
from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from mlops_assets.features.encoded import EncodedImages, EncodedWriter
from mlops_assets.raw.snapshot import read_batches
from resources.steps import Workspace

CHUNK_ROWS = 256
# Split, row in it, encoded bytes.
Placed = tuple[Split, int, bytes]


@dataclass(frozen=True, slots=True)
class Shard:
    """One split of ``N`` images.

    ``images`` uint8 ``[N, H, W, C]``, memory-mapped or decoded as rows are taken, ``labels``
    int64 ``[N]`` (indices into the classes), ``image_ids`` ``[N]`` hex SHA-256, ``batches``
    ``[N]`` partition keys.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    image_ids: NDArray[np.str_]
    batches: NDArray[np.str_]


def build_shards(
    pixels: PixelSpec, work: Workspace, *, threads: int, budget_bytes: float = float("inf")
) -> None:
    """Bring every row of the dataset into its split, in the order of the rows.

    Decoded while all pixels together fit ``budget_bytes``, else as the encoded bytes they came as.
    """
    dataset = work.read("dataset")
    classes: list[str] = json.loads((dataset / CLASSES_FILE).read_bytes())
    rows = pl.read_parquet(dataset / ROWS_FILE)
    out, summary = work.out("training_shards"), work.summary("training_shards")
    places: dict[tuple[str, str], tuple[Split, int]] = {}
    number = {name: index for index, name in enumerate(classes)}
    for split in SPLITS:
        part = rows.filter(split=split)
        labels = part["label"].replace_strict(number, return_dtype=pl.Int64)
        np.save(out / f"{split}-labels.npy", labels.to_numpy())
        np.save(out / f"{split}-ids.npy", part["image_id"].to_numpy().astype("S64"))
        np.save(out / f"{split}-batches.npy", part["batch"].to_numpy().astype(np.str_))
        keys = zip(part["batch"], part["image_id"], strict=True)
        places |= {key: (split, row) for row, key in enumerate(keys)}
        summary.values[f"{split}_images"] = part.height
    sizes = {split: int(summary.values[f"{split}_images"]) for split in SPLITS}
    decoded = sum(sizes.values()) * math.prod(pixels.shape)
    write = _write_decoded if decoded <= budget_bytes else _write_encoded
    size = write(out, sizes, pixels, _contents(work, places), threads=threads)
    if places:
        raise LookupError(f"{len(places)} dataset rows are in no raw snapshot")
    (out / CLASSES_FILE).write_bytes((dataset / CLASSES_FILE).read_bytes())
    summary.values |= {"rows": rows.height, "bytes": size,
                       "kept": "decoded" if decoded <= budget_bytes else "encoded"}


def _contents(
    work: Workspace, places: dict[tuple[str, str], tuple[Split, int]]
) -> Iterator[list[Placed]]:
    """Images of the snapshots that are wanted, some at a time; they leave ``places``."""
    for batch, folder in work.read_every("raw_images").items():
        for table in read_batches(folder, ["image_id", "content"]):
            ids, contents = table.column("image_id").to_pylist(), table.column("content")
            yield [(*places.pop((batch, image_id)), contents[index].as_py())
                   for index, image_id in enumerate(ids) if (batch, image_id) in places]


def _write_decoded(
    out: Path, sizes: dict[Split, int], pixels: PixelSpec, contents: Iterator[list[Placed]], *,
    threads: int,
) -> int:
    arrays = {
        split: np.lib.format.open_memmap(out / f"{split}-images.npy", mode="w+", dtype=np.uint8,
                                         shape=(count, *pixels.shape))
        for split, count in sizes.items()}

    def place(entries: list[Placed]) -> None:
        for split, row, content in entries:
            arrays[split][row] = decode_pixels(content, pixels)

    with ThreadPoolExecutor(threads) as pool:
        for entries in contents:
            list(pool.map(place, [entries[at : at + CHUNK_ROWS]
                                  for at in range(0, len(entries), CHUNK_ROWS)]))
    for array in arrays.values():
        array.flush()
    return sum(int(array.nbytes) for array in arrays.values())


def _write_encoded(
    out: Path, sizes: dict[Split, int], pixels: PixelSpec, contents: Iterator[list[Placed]], *,
    threads: int,
) -> int:
    """Each is decoded once here as well: what can not be decoded shows now, not in training."""
    size = 0
    with ExitStack() as stack, ThreadPoolExecutor(threads) as pool:
        writers = {split: stack.enter_context(EncodedWriter(out, split, count, pixels))
                   for split, count in sizes.items()}
        for entries in contents:
            list(pool.map(lambda entry: decode_pixels(entry[2], pixels).size, entries))
            for split, row, content in entries:
                writers[split].write(row, content)
                size += len(content)
    return size


def read_classes(folder: Path) -> list[str]:
    """Classes of a shards folder, in the order of the labels."""
    classes: list[str] = json.loads((folder / CLASSES_FILE).read_bytes())
    return classes


def read_shard(folder: Path, split: Split) -> Shard:
    """Open one split; the pixels stay on disk until they are gathered."""
    decoded = folder / f"{split}-images.npy"
    # Whoever gathers rows need not know which of the two it is.
    images = np.load(decoded, mmap_mode="r") if decoded.is_file() else cast(
        "NDArray[np.uint8]", EncodedImages(folder, split))
    return Shard(
        images=images,
        labels=np.load(folder / f"{split}-labels.npy"),
        image_ids=np.load(folder / f"{split}-ids.npy").astype(np.str_),
        batches=np.load(folder / f"{split}-batches.npy"),
    )
