"""Two processes that share every batch against one: ``python -m benchmarks.distributed``.

`trained_model` of the demo profile, through Dagster and torchrun's elastic launcher, with one
process and with two on gloo; the batch of all processes together, the order of images and the
seed are the same. Accuracies are of the same validation images, which neither trained on. The
difference counts as nought where the mean over seeds lies within 0.3 points; a seed's own
difference is that of two trainings which batch normalization made two, and is larger.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import dagster as dg

from benchmarks.home import Home, temporary_home
from benchmarks.report import Report, Row, describe_machine, publish
from benchmarks.train import TO_SHARDS, configure
from mlops_assets.config import load_settings
from mlops_assets.raw.fetch import fetch_dataset

PROCESSES: Final = (1, 2)


def train(home: Home, processes: int, seed: int) -> dict[str, Any]:
    """One training through Dagster."""
    configure(processes=processes, seed=seed)
    _, seconds = home.materialize(dg.AssetSelection.assets("trained_model"))
    return {"processes": processes, "seed": seed, "seconds": seconds,
            "accuracy": float(home.value("trained_model", "validation_accuracy"))}


def report(machine: dict[str, Any], runs: list[dict[str, Any]]) -> Report:
    """Of runs by seed and number of processes."""
    seeds = sorted({run["seed"] for run in runs})
    pairs = [[run["accuracy"] for run in runs if run["seed"] == seed] for seed in seeds]
    apart = [100 * (two - one) for one, two in pairs]
    table: list[Row] = [
        {"seed": seed, "one process": f"{one:.4f}", "two": f"{two:.4f}", "points apart":
         f"{100 * (two - one):+.2f}"} for seed, (one, two) in zip(seeds, pairs, strict=True)]
    error = statistics.stdev(apart) / len(apart) ** 0.5 if len(apart) > 1 else float("nan")
    return Report(
        name="distributed", command="python -m benchmarks.distributed", machine=machine,
        method=" ".join((__doc__ or "").split("\n\n")[1].split()),
        summary={"points_apart": abs(statistics.mean(apart)), "standard_error": error},
        limits={"points_apart": "<= 0.3"}, table=table, runs=runs,
    )


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    if options.quick:
        os.environ |= {"MLOPS__DATASET__LIMIT": "2000", "MLOPS__TRAINING__EPOCHS": "1"}
    seeds = range(1 if options.quick else options.seeds)
    machine = describe_machine()
    runs: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-distributed-") as scratch,
        temporary_home(Path(scratch) / "home") as home,
    ):
        settings = load_settings()
        fetch_dataset(settings.dataset.name, settings.dataset.path, log=print)
        home.materialize(dg.AssetSelection.assets(*TO_SHARDS), "initial")
        for seed in seeds:
            for processes in PROCESSES:
                runs.append(train(home, processes, seed))
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    publish(report(machine, runs), quick=options.quick)


if __name__ == "__main__":
    main()
