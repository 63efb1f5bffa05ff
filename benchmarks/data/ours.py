"""Our side: ingest from a folder, and epochs from the shards. Each is a process of its own."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mlops_assets.config import DatasetSettings, SplitShares, ValidationSettings
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.features.shards import build_shards, read_shard
from mlops_assets.models.batches import epoch_order, gather_batches
from mlops_assets.provenance.record import InputRef
from mlops_assets.raw.build import build_snapshot
from mlops_assets.raw.snapshot import read_batches
from mlops_assets.validated.build import build_validated
from mlops_assets.validated.dataset import build_dataset
from resources.engine import Threads, usable_cores
from resources.steps import Workspace
from resources.store import ArtifactStore

THREADS = usable_cores()
BATCH = "photos"


def workspace(home: Path, **pins: str) -> Workspace:
    """A place to build in, with inputs of which there is one version each."""
    folder = home / "work"
    folder.mkdir(parents=True, exist_ok=True)
    return Workspace(ArtifactStore(home / "store"), BATCH, "bench", {
        asset: [InputRef(asset=asset, version=version, partition=BATCH)]
        for asset, version in pins.items()}, folder, "bench")


def keep(work: Workspace, asset: str) -> None:
    """Let what was built be read by the next step."""
    work.write_checks(asset)
    place = work.store.root / asset / BATCH
    place.parent.mkdir(parents=True, exist_ok=True)
    work.out(asset).rename(place)


def ingest(home: Path, folder: Path, spec: PixelSpec) -> float:
    """Seconds from the folder to a validated dataset, when everything is imported."""
    few = home / "few"
    for path in sorted(folder.iterdir()):
        (few / "images" / path.name).mkdir(parents=True)
        for image in sorted(path.iterdir())[:20]:
            shutil.copy(image, few / "images" / path.name)
    take_in(few, few / "images", spec)
    return take_in(home, folder, spec)


def take_in(home: Path, folder: Path, spec: PixelSpec) -> float:
    """Seconds from a folder to a dataset."""
    settings = DatasetSettings(source="image_folder", root=str(folder), pixels=spec)
    began = time.perf_counter()
    work = workspace(home)
    build_snapshot(settings, work)
    keep(work, "raw_images")
    work = workspace(home, raw_images=BATCH)
    build_validated(ValidationSettings(min_side=8), work, Threads(THREADS))
    keep(work, "validated_images")
    work = workspace(home, validated_images=BATCH)
    build_dataset(SplitShares(), ValidationSettings(min_side=8), work)
    keep(work, "dataset")
    return time.perf_counter() - began


def decode(home: Path, flag: int) -> float:
    """Seconds to decode every image of the snapshot from memory, on all cores."""
    contents = [np.frombuffer(each.as_py(), np.uint8)
                for batch in read_batches(home / "store" / "raw_images" / BATCH, ["content"])
                for each in batch.column("content")]

    def some(start: int) -> int:
        return sum(cv2.imdecode(each, flag).size for each in contents[start : start + 64])

    with ThreadPoolExecutor(THREADS) as pool:
        began = time.perf_counter()
        assert sum(pool.map(some, range(0, len(contents), 64))) > 0
        return time.perf_counter() - began


def shards(home: Path, spec: PixelSpec, *, decoded: bool) -> None:
    """Write what training reads."""
    work = workspace(home, dataset=BATCH, raw_images=BATCH)
    build_shards(spec, work, threads=THREADS, budget_bytes=float("inf") if decoded else 0)
    keep(work, "training_shards")


def read(home: Path, spec: PixelSpec, batch: int, seconds: float) -> float:
    """Images a second over whole epochs, after one that is not counted."""
    shard = read_shard(home / "store" / "training_shards" / BATCH, "train")

    def epoch(number: int) -> int:
        count = 0
        order = epoch_order(shard.batches, 1.0, 0, number)
        for pixels, labels in gather_batches(shard, order, batch):
            assert tuple(pixels.shape[1:]) == spec.shape
            assert len(labels) == len(pixels)
            # Pixels on disk are only read when they are looked at, so these are.
            count += len(pixels) if int(pixels[:, 0, 0].sum()) >= 0 else 0
        return count

    epoch(0)
    count, number, began = 0, 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        number += 1
        count += epoch(number)
    return count / spent


def main() -> None:
    """Entry point of a child; one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("ingest", "decode", "shards", "read"))
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--channels", type=int, choices=(1, 3), required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--decoded", action="store_true")
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    spec = PixelSpec(height=options.side, width=options.side, channels=options.channels)
    flag = cv2.IMREAD_GRAYSCALE if options.channels == 1 else cv2.IMREAD_COLOR_RGB
    how: dict[str, Callable[[], Any]] = {
        "ingest": lambda: ingest(options.home, options.folder, spec),
        "decode": lambda: decode(options.home, flag),
        "shards": lambda: shards(options.home, spec, decoded=options.decoded),
        "read": lambda: read(options.home, spec, options.batch, options.seconds)}
    print(json.dumps(how[options.what]()))


if __name__ == "__main__":
    main()
