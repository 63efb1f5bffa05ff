"""Build of ``batch_predictions``: every image of a folder, scored without the service.

A thread, or a worker of a cluster, takes a batch from its files to its probabilities: reading,
decoding and ONNX Runtime release Python's lock, so all cores are at work. Progress is kept in
chunk files, which an interrupted scoring goes on from; the result is put together from them, so
its bytes do not depend on interruptions or on how many threads there were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.config import ScoringSettings
from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.model_card import CARD_FILE, read_card
from mlops_assets.contracts.rollout import served_version
from mlops_assets.contracts.summary import Summary
from mlops_assets.monitoring.scorer import SCHEMA, load_scorer
from mlops_assets.pictures import bars
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.provenance.record import InputRef
from resources.durable import write_bytes
from resources.engine import Engine
from resources.folders import Folder, Listed
from resources.steps import Workspace
from resources.store import ArtifactStore, MissingArtifact

PREDICTIONS_FILE: Final = "predictions.parquet"
SHOWN_ERRORS: Final = 20
Score = Callable[[Sequence[Listed]], pa.Table]


def build_batch_predictions(
    settings: ScoringSettings, folder: Folder, files: Sequence[Listed], place: Path,
    work: Workspace, engine: Engine,
) -> None:
    """Fill ``batch_predictions``. ``place`` belongs to this step alone: progress is kept there."""
    model = work.read("exported_model")
    card = read_card(model)
    chunks = _split(files, settings.chunk_images)
    kept = [place / f"{number:06d}.parquet" for number in range(len(chunks))]
    _score_chunks(partial(_scoring, model, folder), settings, chunks, kept, engine)
    facts = {"classes": canonical_json(card.classes), "model_version": card.version}
    out = work.out("batch_predictions") / PREDICTIONS_FILE
    with pq.ParquetWriter(out, SCHEMA.with_metadata(facts), compression="zstd") as writer:
        for path in kept:
            writer.write_table(pq.read_table(path, schema=SCHEMA))
    _summarize(work.summary("batch_predictions"), out, card.classes)


def _scoring(model: Path, folder: Folder) -> Score:
    return load_scorer(model, folder).score


def _score_chunks(
    load: Callable[[], Score], settings: ScoringSettings, chunks: Sequence[Sequence[Listed]],
    kept: Sequence[Path], engine: Engine,
) -> None:
    """Write the chunk files that are not there yet."""
    missing = [number for number, path in enumerate(kept) if not path.is_file()]
    batches = {number: _split(chunks[number], settings.batch_size) for number in missing}
    tables = engine.run(load, [batch for number in missing for batch in batches[number]])
    for number in missing:
        table = pa.concat_tables([next(tables) for _ in batches[number]])
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_bytes(kept[number], sink.getvalue().to_pybytes())


def serving_model(store: ArtifactStore, home: Path) -> InputRef:
    """The exported model that serves as champion; before the first one serves, the current one.

    Raises:
        MissingArtifact: no model was exported yet, or the store does not hold the champion.
    """
    current = store.pin("exported_model")
    champion = served_version(home / SERVING_FILE)
    if champion is None:
        return current
    exported = store.root / current.asset
    found = [current.version, *sorted(path.parent.name for path in exported.glob(f"*/{CARD_FILE}"))]
    for version in found:
        if read_card(exported / version).version == champion:
            return InputRef(asset=current.asset, version=version)
    raise MissingArtifact(f"the champion {champion[:12]} is not among the exported models of "
                       f"{store.root}")


def _split(items: Sequence[Listed], size: int) -> list[Sequence[Listed]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _summarize(summary: Summary, path: Path, classes: Sequence[str]) -> None:
    table = pq.read_table(path, columns=["path", "label", "confidence", "error"])
    failed = table.filter(pc.is_valid(table["error"]))
    counts: dict[str, int] = {
        str(each["values"]): each["counts"] for each in table["label"].value_counts().to_pylist()
    }
    summary.values |= {"rows": table.num_rows, "errors": failed.num_rows}
    if failed.num_rows < table.num_rows:
        summary.values["mean_confidence"] = float(pc.mean(table["confidence"]).as_py())
        answers = [float(counts.get(name, 0)) for name in classes]
        summary.add_picture("answers", bars("Answers by class", classes, {"answers": answers}))
    summary.tables["undecodable"] = failed.select(["path", "error"]).slice(
        0, SHOWN_ERRORS).to_pylist()
    summary.check(
        "all_scored", passed=failed.num_rows == 0, blocking=False, errors=failed.num_rows,
        rows=table.num_rows,
        description=f"{failed.num_rows} of {table.num_rows} images could not be decoded",
    )
