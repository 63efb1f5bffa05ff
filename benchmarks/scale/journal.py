"""The journal and its compaction into `prediction_log`, for one hour of so many predictions."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.contracts.files import PREDICTIONS_FILE
from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    PredictionRecord,
    new_prediction_id,
)
from mlops_assets.monitoring.logs import build_prediction_log
from resources.journal import JournalWriter, hours
from resources.pinned_hour import PinnedHour
from resources.steps import Workspace
from resources.store import ArtifactStore

HOUR = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLASSES = tuple(f"class-{number}" for number in range(10))
SIZE = 64
TAG = "classifier:aaaaaaaaaaaaaaaa"


def write(folder: Path, count: int) -> dict[str, float]:
    """An hour of ``count`` predictions with ten classes and 64 dimensions."""
    random = np.random.default_rng(0)
    # All different: repeated ones would compress to nothing.
    vectors = random.normal(size=(count, SIZE)).astype(np.float32)
    shares = random.dirichlet(np.ones(len(CLASSES)), size=count).astype(np.float32)
    model = AnsweringModel(name="classifier", version="a" * 64, slot="champion", sha256="b" * 64)
    journal = JournalWriter(folder)
    spent = 0.0
    for number in range(count):
        moment = HOUR + timedelta(hours=number / count)
        record = PredictionRecord(
            answer=Answer(prediction_id=new_prediction_id(moment), label=CLASSES[number % 10],
                          confidence=0.75, model=model, latency_ms=1.0,
                          probabilities=dict(zip(
                              CLASSES, shares[number].tolist(), strict=True))),
            at=moment, image_sha256=sha256(str(number).encode()).hexdigest(), bento_tag=TAG,
            embedding=vectors[number].tolist(), pixel_mean=100.0, pixel_std=20.0)
        began = time.process_time()
        journal.append(record)
        spent += time.process_time() - began
    journal.close()
    size = sum(path.stat().st_size for path in folder.rglob("*.jsonl"))
    return {"write CPU us a prediction": 1e6 * spent / count, "bytes a prediction": size / count}


def compact(folder: Path, scratch: Path, count: int) -> dict[str, float]:
    """What `prediction_log` does with that hour."""
    began = time.process_time()
    hour = PinnedHour.of(folder, hours(folder)[-1])
    work = Workspace(ArtifactStore(scratch), "2026-11-23-12:00", "bench", {}, scratch / "work",
                     "bench")
    (scratch / "work").mkdir(parents=True)
    build_prediction_log(hour.records(hour.sha256()), work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = (work.out("prediction_log") / PREDICTIONS_FILE).stat().st_size
    return {"compact CPU us a prediction": 1e6 * (time.process_time() - began) / count,
            "compact peak GiB": peak, "Parquet bytes a prediction": size / count}


def measure(counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row for each size of an hour; each stage is a process of its own."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="bench-scale-") as scratch:
            row: dict[str, Any] = {"predictions an hour": count}
            for stage in ("write", "compact"):
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.scale.journal", stage, scratch, str(count)],
                    capture_output=True, text=True, check=True, env=dict(os.environ))
                row |= json.loads(done.stdout)
            rows.append(row)
    return rows


if __name__ == "__main__":
    _, what, place, size = sys.argv
    told = write(Path(place) / "journal", int(size)) if what == "write" else compact(
        Path(place) / "journal", Path(place) / "store", int(size))
    print(json.dumps(told))
