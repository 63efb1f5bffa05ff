"""The in-process limit: decode and batched program on all cores, without HTTP or a journal.

``python -m benchmarks.serving.limit MODEL IMAGES SECONDS`` prints images a second as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from bentos.cpus import cpu_quota
from bentos.runtime import Runtime
from mlops_assets.contracts.pixels import decode_pixels

BATCH = 32


def read_bodies(path: Path) -> list[bytes]:
    """The images of a file of raw bodies."""
    content, at, found = path.read_bytes(), 0, []
    while at < len(content):
        end = content.index(b"\n", at)
        length = int(content[at:end])
        found.append(content[end + 1 : end + 1 + length])
        at = end + 1 + length
    return found


def main() -> None:
    """Entry point."""
    runtime = Runtime(Path(sys.argv[1]), threads=1)
    images, seconds = read_bodies(Path(sys.argv[2])), float(sys.argv[3])
    counts = [0] * cpu_quota()
    until = time.perf_counter() + seconds

    def work(lane: int) -> None:
        at = 0
        while time.perf_counter() < until:
            batch = [images[(at + n) % len(images)] for n in range(BATCH)]
            runtime.predict(np.stack([decode_pixels(each, runtime.card.pixels) for each in batch]))
            at += BATCH
            counts[lane] += BATCH

    threads = [threading.Thread(target=work, args=(lane,)) for lane in range(len(counts))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(counts) / (time.perf_counter() - began)
    sys.stdout.write(json.dumps({"images_per_second": rate}) + "\n")


if __name__ == "__main__":
    main()
