"""A million predictions as ``prediction_log`` has them, a reference, and the whole report on them.

``python -m benchmarks.drift.predictions FOLDER HOURS`` judges the first so many hours of a folder
that ``write`` filled, with the trigger's states kept in it, and prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.contracts.model_card import ModelCard, ModelOrigin
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.monitoring.log_rows import Hour, read_answers
from mlops_assets.monitoring.logs import CODECS, PREDICTION_SCHEMA, REPEATED
from mlops_assets.monitoring.reference import Reference, held_out_rows
from mlops_assets.monitoring.watch import judge

CLASSES: Final = [f"class {label}" for label in range(10)]
WIDTH, COMPONENTS, REFERENCE_ROWS = 64, 16, 10_000
VERSION: Final = "a" * 64


def draw(rows: int, seed: int) -> dict[str, NDArray[Any]]:
    """Embeddings around ten centres, the probabilities they give, and statistics of images."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(len(CLASSES), WIDTH))
    truth = rng.integers(0, len(CLASSES), rows)
    embedding = (centres[truth] + rng.normal(size=(rows, WIDTH))).astype(np.float32)
    logits = embedding @ centres.T.astype(np.float32) / 4
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: dict[str, NDArray[Any]] = {
        "truth": truth, "embedding": embedding,
        "probabilities": (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)}
    return found | {name: rng.gamma(4, 10, rows).astype(np.float32) for name in NAMES}


def write(folder: Path, hours: int, rows: int) -> None:
    """Files of ``rows`` predictions, an hour each."""
    folder.mkdir(parents=True)
    for hour in range(hours):
        drawn = draw(rows, seed=hour + 1)
        probabilities = drawn["probabilities"]
        labels = np.array(CLASSES)[probabilities.argmax(axis=1)]
        made: dict[str, Any] = {
            "prediction_id": [f"{hour}-{row}" for row in range(rows)], "label": labels,
            "confidence": probabilities.max(axis=1), "embedding": list(drawn["embedding"]),
            "probabilities": list(probabilities), **{name: drawn[name] for name in NAMES}}
        same = {"at": 1_700_000_000_000_000 + hour * 3_600_000_000, "model_version": VERSION,
                "slot": "champion", "bento_tag": "a:b", "image_sha256": "b" * 64,
                "latency_ms": 1.0, "cached": False, "image_kept": False, "shadow_of": None,
                "revision": 1, "novelty": None}
        columns = [pa.array(made[field.name] if field.name in made else
                            [same[field.name]] * rows, field.type) for field in PREDICTION_SCHEMA]
        pq.write_table(pa.table(columns, schema=PREDICTION_SCHEMA),
                       folder / f"{hour:04}.parquet", compression=CODECS,
                       use_dictionary=REPEATED)


def make_reference() -> Reference:
    """As an exported model has it: axes and centres are of other rows than it compares with."""
    drawn, other = draw(REFERENCE_ROWS, seed=0), draw(REFERENCE_ROWS, seed=1_000_000)
    embedding, probabilities = drawn["embedding"], drawn["probabilities"]
    center = other["embedding"].mean(axis=0)
    axes = np.linalg.svd(other["embedding"] - center, full_matrices=False)[2]
    components = axes[:COMPONENTS]
    arrays: dict[str, NDArray[Any]] = drawn | {
        "labels": probabilities.argmax(axis=1), "confidence": probabilities.max(axis=1),
        "norm": np.linalg.norm(embedding, axis=1), "center": center, "components": components,
        "projected": (embedding - center) @ components.T,
        "predicted": np.bincount(probabilities.argmax(axis=1), minlength=len(CLASSES)),
        "class_means": np.stack([other["embedding"][other["truth"] == label].mean(axis=0)
                                 for label in range(len(CLASSES))]),
        "precision": np.eye(WIDTH, dtype=np.float32)}
    none = "0" * 64
    card = ModelCard(
        name="classifier", version=VERSION, architecture="none", classes=CLASSES,
        pixels=PixelSpec(height=28, width=28, channels=1), embedding_size=WIDTH,
        program_sha256=none, max_parity_error=0.0, metrics={},
        origin=ModelOrigin(dataset=none, training_shards=none, trained_model=none,
                           code_commit=none[:40], config_sha256=none, lock_sha256=none,
                           mlflow_run_id="none", dagster_run_id="none"))
    return Reference(card, arrays, held_out_rows(arrays), accepted=False)


def main() -> None:
    """Entry point."""
    begun = resource.getrusage(resource.RUSAGE_SELF)
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    files = sorted(folder.glob("*.parquet"))[:count]
    hours = [Hour(file.stem, file.stem, file) for file in files]
    found = judge(make_reference(), hours, lambda hour: read_answers(hour, VERSION, ("champion",)),
                  DriftSettings(), folder / "states")
    print(json.dumps({"imports": begun.ru_utime + begun.ru_stime, "rows": found.window_rows,
                      "verdict": found.verdict, "evidence": found.evidence}))


if __name__ == "__main__":
    main()
