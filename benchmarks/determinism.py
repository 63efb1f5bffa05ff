"""What deterministic mode costs: CPU time an image, alone and in batches, with and without it.

A resnet18 over 28 px images, in process, one thread, no HTTP. With it each image has its own run
by the program's plain form; without it a batch is one run, by the form that is faster here. Rounds
of both modes alternate and the median of their ratios counts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.report import Report, Row, describe_machine, publish
from benchmarks.serving.model import write_model
from bentos.runtime import Runtime

SIZES: Final = (1, 7, 32)
SIDE: Final = 28


def cpu_ms(runtime: Runtime, size: int, runs: int) -> float:
    """Milliseconds of CPU an image."""
    images = np.random.default_rng(size).integers(
        0, 256, (size, *runtime.card.pixels.shape), dtype=np.uint8)
    began = time.process_time()
    for _ in range(runs):
        runtime.predict(images)
    return 1000 * (time.process_time() - began) / (runs * size)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.determinism", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="few rounds; keeps nothing")
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        write_model(folder, SIDE)
        modes = {"fast": Runtime(folder, threads=1),
                 "deterministic": Runtime(folder, deterministic=True)}
        table: list[Row] = []
        summary: dict[str, float] = {}
        runs = []
        for size in SIZES:
            found = [{name: cpu_ms(mode, size, max(1, 64 // size))
                      for name, mode in modes.items()} for _ in range(rounds)]
            ratio = statistics.median(each["deterministic"] / each["fast"] for each in found)
            summary[f"deterministic_over_fast_batch_{size}"] = ratio
            table.append({"images in a batch": size, **{
                f"{name}, CPU ms an image": statistics.median(each[name] for each in found)
                for name in modes}, "ratio": ratio})
            runs += [{"size": size, **each} for each in found]
    publish(Report(
        name="determinism", command="python -m benchmarks.determinism", machine=machine,
        method=" ".join((__doc__ or "").split()), summary=summary, table=table, runs=runs,
    ), quick=options.quick)


if __name__ == "__main__":
    main()
