"""Training shards: decoded pixels of each split as one memory-mapped uint8 array."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.contracts.manifest import CLASSES_FILE, ROWS_FILE, SPLITS, Split
from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from mlops_assets.raw.snapshot import read_batches
from resources.steps import Workspace

CHUNK_ROWS = 256


@dataclass(frozen=True, slots=True)
class Shard:
    """One split of ``N`` images.

    ``images`` uint8 ``[N, H, W, C]`` (memory-mapped), ``labels`` int64 ``[N]`` (indices into the
    classes), ``image_ids`` ``[N]`` hex SHA-256, ``batches`` ``[N]`` partition keys.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    image_ids: NDArray[np.str_]
    batches: NDArray[np.str_]


def build_shards(pixels: PixelSpec, work: Workspace, *, threads: int) -> None:
    """Decode every row of the dataset into its split's array, in the order of the rows."""
    dataset = work.read("dataset")
    classes: list[str] = json.loads((dataset / CLASSES_FILE).read_bytes())
    rows = pl.read_parquet(dataset / ROWS_FILE)
    out, summary = work.out("training_shards"), work.summary("training_shards")
    places: dict[tuple[str, str], tuple[Split, int]] = {}
    arrays: dict[Split, NDArray[np.uint8]] = {}
    for split in SPLITS:
        part = rows.filter(split=split)
        shape = (part.height, *pixels.shape)
        arrays[split] = np.lib.format.open_memmap(
            out / f"{split}-images.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        index = {name: number for number, name in enumerate(classes)}
        labels = part["label"].replace_strict(index, return_dtype=pl.Int64)
        np.save(out / f"{split}-labels.npy", labels.to_numpy())
        np.save(out / f"{split}-ids.npy", part["image_id"].to_numpy().astype("S64"))
        np.save(out / f"{split}-batches.npy", part["batch"].to_numpy().astype(np.str_))
        keys = zip(part["batch"], part["image_id"], strict=True)
        places |= {key: (split, row) for row, key in enumerate(keys)}
        summary.values[f"{split}_images"] = part.height

    def place(entries: list[tuple[tuple[Split, int], bytes]]) -> None:
        for (split, row), content in entries:
            arrays[split][row] = decode_pixels(content, pixels)

    with ThreadPoolExecutor(threads) as pool:
        for batch, folder in work.read_every("raw_images").items():
            for table in read_batches(folder, ["image_id", "content"]):
                ids, contents = table.column("image_id").to_pylist(), table.column("content")
                entries = [
                    (places.pop((batch, image_id)), contents[index].as_py())
                    for index, image_id in enumerate(ids) if (batch, image_id) in places
                ]
                chunks = [entries[at : at + CHUNK_ROWS]
                          for at in range(0, len(entries), CHUNK_ROWS)]
                list(pool.map(place, chunks))
    if places:
        raise LookupError(f"{len(places)} dataset rows are in no raw snapshot")
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    (out / CLASSES_FILE).write_bytes((dataset / CLASSES_FILE).read_bytes())
    summary.values |= {"rows": rows.height, "bytes": sum(int(a.nbytes) for a in arrays.values())}


def read_classes(folder: Path) -> list[str]:
    """Classes of a shards folder, in the order of the labels."""
    classes: list[str] = json.loads((folder / CLASSES_FILE).read_bytes())
    return classes


def read_shard(folder: Path, split: Split) -> Shard:
    """Open one split; the pixels stay on disk until they are gathered."""
    return Shard(
        images=np.load(folder / f"{split}-images.npy", mmap_mode="r"),
        labels=np.load(folder / f"{split}-labels.npy"),
        image_ids=np.load(folder / f"{split}-ids.npy").astype(np.str_),
        batches=np.load(folder / f"{split}-batches.npy"),
    )
