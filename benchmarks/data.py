"""Reading training batches: memory-mapped shards against an image folder and against RAM.

The same images in the same batch size, shuffled; every source gives uint8 pixels and labels and
neither augments. Files are in the page cache for all. One untimed epoch of each source shows that
all give the same pixels.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.report import Report, describe_machine, publish
from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from mlops_assets.features.shards import Shard, read_shard
from mlops_assets.models.batches import epoch_order, gather_batches
from mlops_assets.raw.fetch import fetch_dataset
from mlops_assets.raw.sources import TorchvisionSource

BATCH: Final = 256
DATA: Final = Path("data")
SPEC: Final = PixelSpec(height=28, width=28, channels=1)

Epoch = Callable[[int], Iterator[tuple[Tensor, Tensor]]]


def write_sources(root: Path, count: int) -> tuple[Path, Path]:
    """The first ``count`` images as a folder of PNG files and as a shards folder."""
    source = TorchvisionSource("FashionMNIST", DATA, limit=count)
    folder, shards = root / "png", root / "shards"
    shards.mkdir()
    for name in source.classes:
        (folder / name).mkdir(parents=True)
    images = np.lib.format.open_memmap(
        shards / "train-images.npy", mode="w+", dtype=np.uint8, shape=(count, *SPEC.shape)
    )
    order = {name: index for index, name in enumerate(sorted(source.classes))}
    labels = np.zeros(count, np.int64)
    for row, image in zip(range(count), source.images(), strict=False):
        (folder / image.label / f"{row:06d}.png").write_bytes(image.content)
        images[row] = decode_pixels(image.content, SPEC)
        labels[row] = order[image.label]
    images.flush()
    np.save(shards / "train-labels.npy", labels)
    np.save(shards / "train-ids.npy", np.zeros(count, "S64"))
    np.save(shards / "train-batches.npy", np.full(count, "initial"))
    return folder, shards


def from_shards(shard: Shard) -> Epoch:
    """What training does."""
    return lambda epoch: gather_batches(shard, epoch_order(shard.batches, 1.0, 0, epoch), BATCH)


def from_memory(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Epoch:
    """The limit: NumPy gathers from arrays in RAM."""

    def read(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = np.random.default_rng([0, epoch]).permutation(len(labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            yield torch.from_numpy(images[rows]), torch.from_numpy(labels[rows])

    return read


def from_folder(folder: Path, workers: int) -> Epoch:
    """An ImageFolder of torchvision behind torch's DataLoader; workers stay between epochs."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    how = v2.Compose([v2.Grayscale(1), v2.PILToTensor()])
    loader: DataLoader[Any] = DataLoader(
        ImageFolder(str(folder), transform=how), batch_size=BATCH, shuffle=True, drop_last=True,
        num_workers=workers, persistent_workers=workers > 0,
    )
    return lambda _epoch: iter(loader)


def checksum(epoch: Epoch) -> tuple[int, int]:
    """Sum of all pixels and of all labels in one epoch; also warms the source up."""
    pixels = labels = 0
    for some, classes in epoch(0):
        pixels, labels = pixels + int(some.sum(dtype=torch.int64)), labels + int(classes.sum())
    return pixels, labels


def measure(epoch: Epoch, seconds: float, number: int) -> float:
    """Images a second, over whole epochs for at least ``seconds``."""
    images, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        number += 1
        for pixels, _ in epoch(number):
            images += len(pixels)
    return images / spent


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--images", type=int, default=20_480, help="rounded down to whole batches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="least time of a measurement")
    parser.add_argument("--workers", type=int, default=2, help="of the second image folder row")
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    if options.quick:
        options.images, options.rounds, options.seconds = 2_048, 2, 0.3
    machine = describe_machine()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    fetch_dataset("FashionMNIST", DATA, log=print)
    count = options.images // BATCH * BATCH
    with tempfile.TemporaryDirectory(prefix="bench-data-") as scratch:
        folder, shards = write_sources(Path(scratch), count)
        shard = read_shard(shards, "train")
        workers = f"ImageFolder, {options.workers} workers"
        sides = {
            "memory-mapped shards": from_shards(shard),
            "arrays in RAM": from_memory(np.array(shard.images), shard.labels),
            "ImageFolder, 0 workers": from_folder(folder, 0),
            workers: from_folder(folder, options.workers),
        }
        sums = {name: checksum(epoch) for name, epoch in sides.items()}
        if len(set(sums.values())) != 1:
            raise SystemExit(f"the sources differ: {sums}")
        runs = [
            {"round": number, "source": name,
             "images_per_second": measure(sides[name], options.seconds, number * 1000)}
            for number in range(options.rounds) for name in sides
        ]
    rates = {
        name: statistics.median(float(str(run["images_per_second"]))
                                for run in runs if run["source"] == name)
        for name in sides
    }
    ours = rates["memory-mapped shards"]
    publish(Report(
        name="data", command="python -m benchmarks.data", machine=machine, runs=runs,
        method=f"{count:,} Fashion-MNIST images (28 x 28) in batches of {BATCH}, medians of "
        f"{options.rounds} interleaved rounds. Shards and RAM are read without workers in every "
        "row.",
        summary={
            "ours_over_image_folder": ours / rates["ImageFolder, 0 workers"],
            f"ours_over_image_folder_{options.workers}_workers": ours / rates[workers],
            "ours_over_in_memory": ours / rates["arrays in RAM"],
        },
        limits={"ours_over_image_folder": "at least 10"},
        table=[{"source": name, "images a second": rate, "shards are faster by": ours / rate}
               for name, rate in rates.items()],
    ), quick=options.quick)


if __name__ == "__main__":
    main()
