"""Training batches and ingest, beside others: ``python -m benchmarks.data``.

Images of 28 px (Fashion-MNIST, PNG), 224 px from JPEG photos of 300 to 500 px, and 224 px from
JPEG photos of 1,000 px that are decoded anew each epoch. Every reader gives shuffled batches of
uint8 pixels with labels over whole epochs, from files that are in the page cache, after an epoch
that is not counted; where pixels may be kept, the faster of each one's two forms counts, and of 0
and 2 workers the faster. Ingest goes from the folder to a validated dataset and is compared with
decoding the same bytes from memory on all cores; it writes the images once more and hashes them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.data.images import KINDS, Kind, write_folder
from benchmarks.environments import install
from benchmarks.report import Report, Row, describe_machine, publish

PEERS: Final = Path(__file__).resolve().parent.parent / "peers"
READERS: Final = ("ImageFolder", "webdataset", "litdata", "mosaicml-streaming", "HF datasets",
                  "Lance")
OURS: Final = "mlops-assets"
WORKERS: Final = (0, 2)
LIMIT_SECONDS: Final = 90


def child(command: list[str | Path], scratch: Path) -> Any:
    """What a child printed last; None when it failed, with its last words on stderr."""
    environment = {**os.environ, "HOME": str(scratch), "OMP_NUM_THREADS": "1",
                   "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True,
                              env=environment, timeout=LIMIT_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = error.stderr.decode() if isinstance(error.stderr, bytes) else error.stderr
        print(f"{command[1:4]} failed: {(said or '').strip()[-600:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def shape(kind: Kind) -> list[str]:
    """Options that every child takes."""
    return ["--side", str(kind.side), "--channels", str(kind.channels), "--batch", str(kind.batch)]


def ours(what: str, home: Path, kind: Kind, *more: str) -> float:
    """One of our steps in a process of its own."""
    found = child([sys.executable, "-m", "benchmarks.data.ours", what, "--home", home,
                   *shape(kind), *more], home)
    if found is None and what != "shards":
        raise SystemExit(f"our own {what} failed")
    return float(found or 0)


def theirs(python: Path, reader: str, kind: Kind, scratch: Path, seconds: float, form: str,
           workers: int) -> float | None:
    """Images a second of one reader in one of its forms."""
    found = child([python, PEERS / "readers.py", reader, "--folder", scratch / "images", "--place",
                   scratch / f"{reader}-{form}".replace(" ", "-"), "--form", form, "--workers",
                   str(workers), "--seconds", str(seconds), *shape(kind)], scratch)
    return None if found is None else float(found["images_per_second"])


def measure(kind: Kind, python: Path, scratch: Path, rounds: int, seconds: float
            ) -> list[dict[str, Any]]:
    """All runs of a kind."""
    runs: list[dict[str, Any]] = []
    write_folder(scratch / "many", kind, kind.ingested)
    for number in range(rounds):
        home = scratch / f"home-{number}"
        took = ours("ingest", home, kind, "--folder", str(scratch / "many"))
        limit = ours("decode", home, kind)
        runs.append({"kind": kind.name, "what": "ingest",
                     "images_per_second": kind.ingested / took,
                     "decode_images_per_second": kind.ingested / limit})
        print(runs[-1], file=sys.stderr, flush=True)
        shutil.rmtree(home)
    shutil.rmtree(scratch / "many")
    write_folder(scratch / "images", kind, kind.read)
    home = scratch / "home"
    ours("ingest", home, kind, "--folder", str(scratch / "images"))
    ours("shards", home, kind, *(["--decoded"] if kind.decoded else []))
    for number in range(rounds):
        rate = ours("read", home, kind, "--seconds", str(seconds))
        runs.append({"kind": kind.name, "what": OURS, "round": number, "form": "", "workers": 0,
                     "images_per_second": rate})
        for reader in READERS:
            forms = ("encoded",) if reader == "ImageFolder" or not kind.decoded else (
                "encoded", "pixels")
            for form in forms:
                for workers in WORKERS:
                    rated = theirs(python, reader, kind, scratch, seconds, form, workers)
                    if rated is not None:
                        runs.append({"kind": kind.name, "what": reader, "round": number,
                                     "form": form, "workers": workers,
                                     "images_per_second": rated})
                        print(runs[-1], file=sys.stderr, flush=True)
    return runs


def best(runs: list[dict[str, Any]], kind: str, reader: str) -> tuple[float, str]:
    """Median images a second of a reader's fastest way, and which that is."""
    ways: dict[str, list[float]] = {}
    for run in runs:
        if (run["kind"], run["what"]) == (kind, reader):
            way = f"{run['form']}, {run['workers']} workers" if run["form"] else "threads"
            ways.setdefault(way, []).append(float(run["images_per_second"]))
    if not ways:
        return 0.0, "failed"
    return max((statistics.median(rates), way) for way, rates in ways.items())


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="least time of a measurement")
    parser.add_argument("--only", choices=[kind.name for kind in KINDS], action="append")
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    rounds, seconds = (1, 0.3) if options.quick else (options.rounds, options.seconds)
    machine, python = describe_machine(), install(PEERS / "readers.txt")
    runs: list[dict[str, Any]] = []
    kinds = [kind for kind in KINDS if not options.only or kind.name in options.only]
    for kind in kinds:
        few = 4 * kind.batch
        some = replace(kind, ingested=few, read=few) if options.quick else kind
        with tempfile.TemporaryDirectory(prefix="bench-data-") as scratch:
            runs += measure(some, python, Path(scratch), rounds, seconds)
    table: list[Row] = []
    summary: dict[str, float] = {}
    for kind in kinds:
        mine = best(runs, kind.name, OURS)[0]
        for reader in (OURS, *READERS):
            rate, way = best(runs, kind.name, reader)
            table.append({"images": kind.name, "reader": reader, "way": way,
                          "images a second": round(rate), "ours is faster by":
                          f"{mine / rate:.2f}" if rate else "-"})
        folder = best(runs, kind.name, "ImageFolder")[0]
        peer = max(best(runs, kind.name, reader)[0] for reader in READERS)
        summary[f"epoch_ratio_vs_image_folder_{kind.name}"] = mine / folder
        summary[f"epoch_ratio_vs_best_peer_{kind.name}"] = mine / peer
        summary[f"ingest_share_of_decode_limit_{kind.name}"] = statistics.median(
            run["images_per_second"] / run["decode_images_per_second"] for run in runs
            if (run["kind"], run["what"]) == (kind.name, "ingest"))
    limits = {"epoch_ratio_vs_image_folder_28px": "at least 20",
              "epoch_ratio_vs_image_folder_224px": "at least 5",
              "epoch_ratio_vs_image_folder_1000px": "at least 1.5",
              **{f"epoch_ratio_vs_best_peer_{kind.name}": "at least 1" for kind in kinds},
              **{f"ingest_share_of_decode_limit_{kind.name}": "at least 0.8" for kind in kinds}}
    publish(Report(
        name="data", command="python -m benchmarks.data", machine=machine, runs=runs,
        method=" ".join((__doc__ or "").split("\n\n")[1].split()) + f" Medians of {rounds} rounds.",
        summary=summary, table=table,
        limits={name: limit for name, limit in limits.items() if name in summary},
    ), quick=options.quick or bool(options.only))


if __name__ == "__main__":
    main()
