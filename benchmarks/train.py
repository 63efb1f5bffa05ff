"""Training through the platform against a bare PyTorch loop.

Bare: a new Python process that imports torch and timm, reads the arrays into RAM, trains and
saves the weights. Asset: ``trained_model`` materialized by Dagster, from the call to its return:
inputs pinned and hashed, training in a process of its own from memory-mapped shards,
deterministic, with checkpoints and MLflow, committed with its record. Same model, optimizer,
schedule, EMA, augmentation, epochs and threads.

Dagster's process is warm, as in a running platform; what a new one costs on top (import of the
definitions and of MLflow) is measured apart and also stands in the summary.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import dagster as dg

from benchmarks.home import Home, temporary_home
from benchmarks.report import Report, describe_machine, publish
from mlops_assets.config import load_settings
from mlops_assets.raw.fetch import fetch_dataset

TO_SHARDS: Final = ("raw_images", "validated_images", "quarantined_images", "dataset",
                    "training_shards")
IMPORTS: Final = "import mlops_assets.definitions, mlflow, mlflow.entities"

Run = dict[str, Any]


def configure(**training: object) -> None:
    """Training settings as environment variables, which every process of the run reads."""
    for key, value in training.items():
        os.environ[f"MLOPS__TRAINING__{key.upper()}"] = str(value)


def run_asset(home: Home) -> Run:
    """One training through Dagster."""
    _, wall = home.materialize(dg.AssetSelection.assets("trained_model"))
    if home.value("trained_model", "reused"):
        raise SystemExit("the training was reused, not run")
    run_id = str(home.value("trained_model", "mlflow_run_id"))
    epochs = home.tracking.client().get_metric_history(run_id, "seconds")
    return {"wall": wall, "loop": sum(each.value for each in epochs),
            "accuracy": home.value("trained_model", "validation_accuracy")}


def run_bare(shards: Path, scratch: Path) -> Run:
    """One training in a bare loop."""
    job = scratch / "bare.json"
    settings = load_settings().training.model_dump(mode="json")
    job.write_text(json.dumps({"settings": settings, "shards": str(shards), "out": str(scratch)}))
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "benchmarks.bare_loop", str(job)], check=True)
    wall = time.perf_counter() - began
    result = json.loads((scratch / "result.json").read_bytes())
    return {"wall": wall, "loop": sum(result["epoch_seconds"]), "accuracy": result["accuracy"]}


def time_imports() -> float:
    """Seconds that a new process needs for what a Dagster run imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - began


def race(home: Home, scratch: Path, epochs: int, rounds: int) -> list[Run]:
    """Interleaved runs; who begins alternates. A short untimed pair warms both sides up."""
    shards = home.store.path(home.store.pin("training_shards"))
    sides = {"bare": lambda: run_bare(shards, scratch), "asset": lambda: run_asset(home)}
    configure(epochs=1, seed=1000)
    for run in sides.values():
        run()
    runs = []
    for number in range(rounds):
        configure(epochs=epochs, seed=number)
        for name in sorted(sides, reverse=bool(number % 2)):
            runs.append({"round": number, "side": name, **sides[name]()})
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    return runs


def summarize(runs: list[Run], imports: float) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Ratios (median over the rounds) and the table."""
    pairs = [
        ({run["side"]: run for run in runs if run["round"] == number})
        for number in sorted({run["round"] for run in runs})
    ]

    def ratio(above: Any, below: Any) -> float:
        return float(statistics.median(above(pair["asset"]) / below(pair["bare"])
                                       for pair in pairs))

    def median(side: str, value: Any) -> float:
        return float(statistics.median(value(pair[side]) for pair in pairs))

    def wall(run: Run) -> float:
        return float(run["wall"])

    def loop(run: Run) -> float:
        return float(run["loop"])

    def fixed(run: Run) -> float:
        return float(run["wall"] - run["loop"])

    summary = {
        "asset_over_bare": ratio(wall, wall),
        "asset_over_bare_in_epochs": ratio(loop, loop),
        "asset_over_bare_outside_epochs": ratio(fixed, fixed),
        "extra_fixed_seconds": median("asset", fixed) - median("bare", fixed),
        "new_dagster_process_seconds": imports,
        "asset_with_new_process_over_bare": ratio(lambda run: wall(run) + imports, wall),
    }
    table = [
        {"side": side, "wall s": median(side, wall), "in epochs s": median(side, loop),
         "outside epochs s": median(side, fixed),
         "accuracy": median(side, lambda run: run["accuracy"])}
        for side in ("bare", "asset")
    ]
    return summary, table


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="of the training part")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    if options.quick:
        options.images, options.epochs, options.rounds = 1_000, 2, 1
    machine = describe_machine()
    os.environ["MLOPS__DATASET__LIMIT"] = str(options.images)
    with (
        tempfile.TemporaryDirectory(prefix="bench-train-") as scratch,
        temporary_home(Path(scratch) / "home") as home,
    ):
        dataset = load_settings().dataset
        fetch_dataset(dataset.name, dataset.path, log=print)
        home.materialize(dg.AssetSelection.assets(*TO_SHARDS), "initial")
        runs = race(home, Path(scratch), options.epochs, options.rounds)
        time_imports()
        imports = statistics.median(time_imports() for _ in range(options.rounds))
    settings = load_settings().training
    summary, table = summarize(runs, imports)
    publish(Report(
        name="train", command="python -m benchmarks.train", machine=machine, runs=runs,
        method=f"timm `{settings.model}`, {options.images:,} Fashion-MNIST images less the "
        f"validation share, {options.epochs} epochs of batches of {settings.batch_size}, "
        f"threads: {settings.threads}; medians of {options.rounds} interleaved rounds.",
        summary=summary, limits={"asset_over_bare": "at most 1.05"}, table=table,
    ), quick=options.quick)


if __name__ == "__main__":
    main()
