"""Labels that are probably wrong, among rows that a model has not learnt from.

Confident learning (Northcutt et al. 2021, *Confident Learning: Estimating Uncertainty in Dataset
Labels*), by cleanlab: a row is suspect when the model is surer of another class than it usually is
of that class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlops_assets.contracts.summary import Summary
from mlops_assets.features.shards import Shard
from mlops_assets.pictures import contact_sheet

SUSPECTS_FILE: Final = "label_suspects.parquet"
SHOWN: Final = 20
TILES: Final = 10
SCHEMA: Final = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("batch", pa.string(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("likelier", pa.string(), nullable=False),
    pa.field("confidence", pa.float64(), nullable=False),
])


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows of a split and what the model says of them, float32 ``[N, K]``."""

    shard: Shard
    probabilities: NDArray[np.float32]


def find_suspects(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> list[int]:
    """Rows whose label is probably wrong, the most doubtful first.

    Args:
        labels: ``[N]``, indices of the given labels.
        probabilities: ``[N, K]``, of a model that has not learnt from these rows.
    """
    from cleanlab.filter import find_label_issues

    if len(np.unique(labels)) < 2:
        return []
    found = find_label_issues(labels, probabilities.astype(np.float64), n_jobs=1,
                              return_indices_ranked_by="self_confidence")
    return [int(row) for row in found]


def list_suspects(
    answered: Sequence[Answered], classes: Sequence[str], out: Path, summary: Summary
) -> None:
    """Write ``label_suspects.parquet``, and show the most doubtful rows."""
    labels = np.concatenate([each.shard.labels for each in answered])
    probabilities = np.concatenate([each.probabilities for each in answered])
    ids = np.concatenate([each.shard.image_ids for each in answered])
    batches = np.concatenate([each.shard.batches for each in answered])
    suspects = find_suspects(labels, probabilities)
    rows = [{"image_id": str(ids[row]), "batch": str(batches[row]), "label": classes[labels[row]],
             "likelier": classes[int(probabilities[row].argmax())],
             "confidence": float(probabilities[row, labels[row]])} for row in suspects]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out / SUSPECTS_FILE,
                   compression="zstd")
    summary.values |= {"label_suspects": len(rows),
                       "label_suspects_share": len(rows) / max(1, len(labels))}
    summary.tables["doubtful_labels"] = rows[:SHOWN]
    tiles: dict[str, list[NDArray[np.uint8]]] = {}
    for row, told in zip(suspects, rows, strict=True):
        shown = tiles.setdefault(f"{told['label']}: {told['likelier']}?", [])
        if len(shown) < TILES:
            shown.append(_pixels(answered, row))
    if tiles:
        most = sorted(tiles.items(), key=lambda item: -len(item[1]))[:TILES]
        summary.add_picture("doubtful_images", contact_sheet(most))


def _pixels(answered: Sequence[Answered], row: int) -> NDArray[np.uint8]:
    for each in answered:
        if row < len(each.shard.labels):
            return np.array(each.shard.images[row])
        row -= len(each.shard.labels)
    raise IndexError(row)
