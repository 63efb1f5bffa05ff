"""Memory and time of what reads every row of a manifest: ``python -m benchmarks.rows``.

Synthetic manifests of five batches, with thumbnails of several scales of detail, of which one in a
thousand nearly equals another. Each stage is a process of its own: finding duplicates and odd
images, merging and splitting into a dataset under its Merkle root, and the tree that proofs are
read from. Peak memory and CPU seconds are of the whole process, imports included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.report import Report, Row, describe_machine, publish
from mlops_assets.config import SplitShares, ValidationSettings
from mlops_assets.contracts.manifest import CLASSES_FILE, MANIFEST_FILE, MANIFEST_SCHEMA
from mlops_assets.provenance.record import InputRef
from mlops_assets.validated.dataset import build_dataset
from mlops_assets.validated.duplicates import find_duplicates
from mlops_assets.validated.issues import LOOK_SCHEMA, list_issues
from mlops_assets.validated.thumbnails import read_thumbnails
from resources.memberships import open_tree
from resources.steps import CHECKS_FILE, Workspace
from resources.store import ArtifactStore

COUNTS: Final = (1_000_000, 3_000_000, 10_000_000)
BATCHES: Final = 5
CLASSES: Final = ("bird", "boat", "car", "cat", "dog", "house", "lamp", "road", "ship", "tree")
PART: Final = 100_000
CHANNELS: Final = 64
TWINS: Final = 0.001


def thumbnails(count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Coarse shapes, finer ones and noise, uint8 ``[N, 256]``."""
    image = np.full((count, 16, 16), 110, np.float32)
    for side, strength in ((2, 45), (4, 30), (8, 12), (16, 4)):
        coarse = rng.normal(0, strength, (count, side, side)).astype(np.float32)
        for start in range(0, count, CHANNELS):
            # So many images at once, as channels of one.
            some = coarse[start : start + CHANNELS].transpose(1, 2, 0)
            larger = cv2.resize(np.ascontiguousarray(some), (16, 16)).reshape(16, 16, -1)
            image[start : start + CHANNELS] += larger.transpose(2, 0, 1)
    found = np.clip(image, 0, 255).astype(np.uint8).reshape(count, 256)
    twins = rng.random(count) < TWINS
    found[twins] = found[rng.integers(0, count, int(twins.sum()))] ^ 1
    return found


def write_manifest(folder: Path, batch: int, rows: int) -> None:
    """One batch's ``validated_images``."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(batch)
    (folder / CLASSES_FILE).write_text(json.dumps(CLASSES))
    (folder / CHECKS_FILE).write_text("[]")
    with pq.ParquetWriter(folder / MANIFEST_FILE, MANIFEST_SCHEMA, compression="zstd") as writer:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            names = [f"{batch}/{start + at}" for at in range(count)]
            ids = sorted(hashlib.sha256(name.encode()).hexdigest() for name in names)
            writer.write_table(pa.table({
                "image_id": ids, "source": [f"camera-{name}.jpg" for name in names],
                "label": np.array(CLASSES)[rng.integers(0, len(CLASSES), count)],
                "origin_split": [""] * count, "format": ["jpeg"] * count, "mode": ["RGB"] * count,
                "width": rng.choice([640, 800, 1024], count), "height": np.full(count, 640),
                "bytes": rng.integers(50_000, 90_000, count),
                "mean": rng.normal(110, 20, count).clip(0, 255),
                "std": rng.normal(50, 9, count).clip(2, 127),
                "thumbnail": pa.FixedSizeBinaryArray.from_buffers(
                    pa.binary(256), count, [None, pa.py_buffer(thumbnails(count, rng))]),
            }).cast(MANIFEST_SCHEMA))


def refs(root: Path) -> list[InputRef]:
    """The batches of a store."""
    return [InputRef(asset="validated_images", version=path.name, partition=path.name)
            for path in sorted((root / "validated_images").iterdir())]


def judge(home: Path) -> None:
    """Duplicates and odd images, as of one batch."""
    folders = [home / "store" / each.asset / each.version for each in refs(home / "store")]
    images = pl.concat(pl.read_parquet(
        folder / MANIFEST_FILE, columns=["image_id", "label", "origin_split", "source"])
        for folder in folders)
    rng = np.random.default_rng(0)
    find_duplicates(images)
    looks = pl.DataFrame({
        "brightest": rng.uniform(0.4, 1, images.height),
        "darkest": rng.uniform(0, 0.5, images.height),
        "entropy": np.full(images.height, 7.0), "sharpness": np.full(images.height, 0.4),
        "aspect": np.full(images.height, 0.8),
        "phash": rng.integers(0, 2**64, images.height, dtype=np.uint64)}, LOOK_SCHEMA)
    list_issues(images, looks, read_thumbnails(folders), ValidationSettings().issues)


def merge(home: Path) -> None:
    """``dataset``, and a mark of its version."""
    store = ArtifactStore(home / "store")
    (home / "work").mkdir(exist_ok=True)
    work = Workspace(store, None, "bench", {"validated_images": refs(store.root)}, home / "work",
                     "bench")
    build_dataset(SplitShares(), ValidationSettings(), work)
    place = store.root / "dataset" / work.versions["dataset"]
    place.parent.mkdir(exist_ok=True)
    work.out("dataset").rename(place)


def plant(home: Path) -> None:
    """The tree that proofs are read from."""
    (dataset,) = (home / "store" / "dataset").iterdir()
    with open_tree(home, dataset.name):
        pass


STAGES: Final[dict[str, Callable[[Path], None]]] = {
    "duplicates and odd images": judge, "dataset": merge, "Merkle tree": plant}


def stage(name: str, home: Path) -> dict[str, Any]:
    """Run one stage in a process of its own."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rows", "--stage", name, "--home", str(home)],
        stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**told, "seconds": time.monotonic() - began}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rows", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="few rows; keeps nothing")
    options = parser.parse_args()
    if options.stage:
        STAGES[options.stage](options.home)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024}))
        return
    machine, runs = describe_machine(), []
    counts = sorted((20_000, 60_000) if options.quick else options.rows)
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="rows-", dir=os.environ.get("TMPDIR")) as scratch:
            for batch in range(BATCHES):
                write_manifest(Path(scratch, "store", "validated_images", f"b{batch}"), batch,
                               count // BATCHES)
            for name in STAGES:
                runs.append({"rows": count, "stage": name, **stage(name, Path(scratch))})
                print(runs[-1], file=sys.stderr, flush=True)
    first, last = counts[0], counts[-1]

    def slope(name: str, value: str) -> float:
        """Of a value from the least to the most rows, a million rows."""
        low, high = (run[value] for count in (first, last) for run in runs
                     if (run["rows"], run["stage"]) == (count, name))
        return float((high - low) / (last - first) * 1e6)

    table: list[Row] = [
        {"rows": f"{run['rows']:,}", "stage": run["stage"], "CPU s": run["cpu_s"],
         "seconds": run["seconds"], "peak MiB": run["mib"]} for run in runs]
    slopes: list[Row] = [
        {"a million rows more": name, "CPU s": slope(name, "cpu_s"),
         "bytes a row": slope(name, "mib") * 2**20 / 1e6} for name in STAGES]
    summary = {f"{name.split()[0].lower()}_bytes_a_row": slope(name, "mib") * 2**20 / 1e6
               for name in STAGES}
    most = [run for run in runs if run["rows"] == last]
    least = [run for run in runs if run["rows"] == first]
    # Of time that grows as rows do, 1; with the square of the rows, their ratio.
    summary["growth_beyond_linear"] = (
        sum(run["cpu_s"] for run in most) / sum(run["cpu_s"] for run in least) * first / last)
    summary["mib_at_most_rows"] = max(run["mib"] for run in most)
    publish(Report(
        name="rows", command="python -m benchmarks.rows", machine=machine, runs=runs,
        method=" ".join((__doc__ or "").split("\n\n")[1].split()), summary=summary, table=table,
        more=[slopes],
        limits={"growth_beyond_linear": "<= 1.5",
                **{name: "<= 1024" for name in summary if name.endswith("bytes_a_row")}},
    ), quick=options.quick)


if __name__ == "__main__":
    main()
