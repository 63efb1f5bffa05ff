"""Odd images found by validation beside CleanVision: ``python -m benchmarks.issues``.

Photo crops, some of which are darkened, brightened, blurred, emptied, cut to strips, copied bit by
bit or copied with other compression. Both read the same files from the same disk, on the same
cores; CPU time is of the whole process and its children.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from benchmarks.environments import install
from benchmarks.report import Report, Row, describe_machine, publish
from mlops_assets.config import ValidationSettings
from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.validated.inspection import Facts, Fault, inspect_image
from mlops_assets.validated.issues import LOOK_SCHEMA, list_issues

HERE: Final = Path(__file__).resolve().parent
PEER: Final = HERE / "peers" / "cleanvision.txt"
SIDE: Final = 224
EACH: Final = 25
Image = NDArray[np.uint8]
# Our kinds by CleanVision's names.
NAMES: Final = {"dark": "dark", "light": "bright", "low_information": "low-information",
                "blurry": "blurry", "odd_aspect_ratio": "odd-aspect",
                "near_duplicates": "near-duplicate", "exact_duplicates": "duplicate"}


def _scaled(factor: float, offset: float) -> Callable[[Image], Image]:
    return lambda image: np.clip(image * factor + offset, 0, 255).astype(np.uint8)


FAULTS: Final[dict[str, Callable[[Image], Image]]] = {
    "dark": _scaled(0.15, 0), "light": _scaled(0.045, 243.5),
    "low_information": lambda image: np.full_like(image, 127) + (image > 250).astype(np.uint8),
    "blurry": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 9), np.uint8),
    "odd_aspect_ratio": lambda image: image[: SIDE // 6],
}


def plant(folder: Path, images: int, rng: np.random.Generator) -> dict[str, set[str]]:
    """Write JPEG and PNG files; the names of the planted ones by kind."""
    photos = [cv2.cvtColor(load_sample_image(name), cv2.COLOR_RGB2BGR)
              for name in ("china.jpg", "flower.jpg")]
    planted: dict[str, set[str]] = {name: set() for name in NAMES}

    def piece() -> Image:
        photo = photos[int(rng.integers(2))]
        top, left = (int(rng.integers(length - SIDE)) for length in photo.shape[:2])
        found = np.rot90(photo[top : top + SIDE, left : left + SIDE], int(rng.integers(4)))
        return found[:, ::-1] if rng.random() < 0.5 else found

    def crop() -> Image:
        # Two in one: no two ordinary images are nearly the same.
        share = rng.uniform(0.35, 0.65)
        return (share * piece() + (1 - share) * piece()).astype(np.uint8)

    def write(name: str, image: Image, quality: int = 95) -> None:
        cv2.imwrite(str(folder / name), image, [cv2.IMWRITE_JPEG_QUALITY, quality])

    for number in range(images):
        write(f"plain-{number:05d}.jpg", crop())
    for kind, fault in FAULTS.items():
        for number in range(EACH):
            name = f"{kind}-{number:03d}.png"
            write(name, fault(crop()))
            planted[kind].add(name)
    for number in range(EACH):
        image = crop()
        write(f"near_duplicates-{number:03d}-a.jpg", image)
        write(f"near_duplicates-{number:03d}-b.jpg", image, 70)
        planted["near_duplicates"].add(f"near_duplicates-{number:03d}-b.jpg")
        name = f"exact_duplicates-{number:03d}"
        write(f"{name}-a.jpg", crop())
        (folder / f"{name}-b.jpg").write_bytes((folder / f"{name}-a.jpg").read_bytes())
        planted["exact_duplicates"].add(f"{name}-b.jpg")
    return planted


def ours(folder: Path, threads: int) -> dict[str, set[str]]:
    """Names by kind as validation finds them."""
    limits = ValidationSettings()
    paths = sorted(folder.iterdir())

    def look(path: Path) -> tuple[str, Facts | Fault]:
        content = path.read_bytes()
        return sha256_bytes(content), inspect_image(content, path.name, limits)

    with ThreadPoolExecutor(threads) as pool:
        looked = list(pool.map(look, paths))
    found: dict[str, set[str]] = {name: set() for name in NAMES}
    rows, looks, thumbnails, seen = [], [], [], set()
    for path, (digest, facts) in zip(paths, looked, strict=True):
        if isinstance(facts, Fault):
            # What is nearly constant does not even pass inspection.
            found["low_information"] |= {path.name} if facts.reason == "blank" else set()
            continue
        if digest in seen:
            found["exact_duplicates"].add(path.name)
            continue
        seen.add(digest)
        rows.append({"image_id": digest, "source": path.name, "label": "x"})
        looks.append(astuple(facts.look))
        thumbnails.append(facts.thumbnail)
    theirs = {mine: name for name, mine in NAMES.items()}
    for row in list_issues(
            pl.DataFrame(rows), pl.DataFrame(looks, LOOK_SCHEMA, orient="row"),
            np.frombuffer(b"".join(thumbnails), np.uint8).reshape(len(rows), -1), limits.issues):
        found[theirs[row["kind"]]].add(row["source"])
    return found


def run(command: list[str], threads: int) -> tuple[dict[str, set[str]], float, float]:
    """What a finder prints, its seconds and its CPU seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True,
                          env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: set(names) for name, names in found.items()}, seconds, cpu


def main() -> None:
    """Plant, find with both, and publish what each found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8000, help="ordinary ones")
    parser.add_argument("--quick", action="store_true", help="few images; publishes nothing")
    parser.add_argument("--find", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    if options.find:
        found = ours(options.find, threads)
        sys.stdout.write(json.dumps({name: sorted(each) for name, each in found.items()}) + "\n")
        return
    python = install(PEER)
    machine = describe_machine()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        folder.mkdir()
        count = 100 if options.quick else options.images
        planted = plant(folder, count, np.random.default_rng(0))
        runs: dict[str, Any] = {}
        for name, command in {
            "mlops-assets": [sys.executable, "-m", "benchmarks.issues", "--find", str(folder)],
            "CleanVision": [str(python), str(HERE / "peers" / "cleanvision_find.py"),
                            str(folder), str(threads)],
        }.items():
            found, seconds, cpu = run(command, threads)
            caught = {kind: len(found[kind] & names) for kind, names in planted.items()}
            false = {kind: len({each for each in found[kind] if each.startswith("plain")})
                     for kind in planted}
            runs[name] = {"caught": caught, "of": EACH, "false": false, "seconds": seconds,
                          "cpu_seconds": cpu}
            rows.append({"finder": name, **caught, "on ordinary images": sum(false.values()),
                         "seconds": round(seconds, 2), "CPU seconds": round(cpu, 2)})
            print(rows[-1], flush=True)
    mine, peer = runs["mlops-assets"], runs["CleanVision"]
    publish(Report(
        name="issues", command="python -m benchmarks.issues", machine=machine,
        runs=[{"finder": name, **run} for name, run in runs.items()],
        method=f"{options.images} ordinary images, blends of crops of photographs at {SIDE} px, "
               f"and {EACH} of each planted kind; found of each kind, both with all cores, "
               "start-up included.",
        table=rows,
        summary={"issues_found_vs_cleanvision":
                sum(mine["caught"].values()) / max(1, sum(peer["caught"].values())),
                "speed_ratio_vs_cleanvision": peer["seconds"] / mine["seconds"]},
        limits={"issues_found_vs_cleanvision": "at least 1",
                "speed_ratio_vs_cleanvision": "at least 5"}),
        quick=options.quick)


if __name__ == "__main__":
    main()
