"""What happened to one image: the snapshots, datasets and predictions that saw its bytes."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops_assets.contracts.manifest import QUARANTINE_FILE
from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.lineage.graph import Artifact, Graph
from mlops_assets.provenance.merkle import MembershipProof, prove, verify
from mlops_assets.provenance.rows import dataset_leaves, dataset_rows
from resources.chain import unlink
from resources.journal import journal_folder


@dataclass(frozen=True, slots=True)
class Sighting:
    """The image in one artifact; ``facts`` is its row there, without the bytes."""

    artifact: Artifact
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Membership:
    """The image's row of one dataset, and the proof that it stands under the Merkle root."""

    artifact: Artifact
    row: dict[str, str]
    proof: MembershipProof
    proven: bool


@dataclass(frozen=True, slots=True)
class ImageTrace:
    """Everything that saw an image."""

    snapshots: tuple[Sighting, ...]
    quarantined: tuple[Sighting, ...]
    datasets: tuple[Membership, ...]
    predictions: tuple[PredictionRecord, ...]


# Python's own comparison: the first call of a pyarrow.compute kernel imports pandas, for 1 s.
def _rows_of(paths: list[Path], image_id: str) -> Iterator[dict[str, Any]]:
    for path in paths:
        with pq.ParquetFile(path, memory_map=True) as file:
            names = [name for name in file.schema_arrow.names if name != "content"]
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["image_id"]).column("image_id")
                found = [at for at, each in enumerate(ids.to_pylist()) if each == image_id]
                if found:
                    rows = file.read_row_group(group, columns=names)
                    yield from (rows.slice(at, 1).to_pylist()[0] for at in found)


def sightings(graph: Graph, asset: str, pattern: str, image_id: str) -> Iterator[Sighting]:
    """Rows of the image in the Parquet files of every version of an asset."""
    for artifact in graph.of(asset):
        for row in _rows_of(sorted(graph.folder(artifact).glob(pattern)), image_id):
            batches = {record.partition for record in graph.records[artifact]}
            yield Sighting(artifact, {"batch": ", ".join(sorted(map(str, batches))), **row})


def seen_by_predictions(home: Path, image_id: str) -> Iterator[PredictionRecord]:
    """Predictions in the journal whose image has these bytes, in the order of their files."""
    wanted = f'"image_sha256":"{image_id}"'.encode()
    for path in sorted(journal_folder(home).glob("*/predictions-*.jsonl")):
        if path.stat().st_size == 0:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            at = lines.find(wanted)
            while at >= 0 and (end := lines.find(b"\n", at)) >= 0:
                line = lines[lines.rfind(b"\n", 0, at) + 1 : end]
                yield PredictionRecord.model_validate_json(unlink(line))
                at = lines.find(wanted, end)


def image_is_known(home: Path, graph: Graph, image_id: str) -> bool:
    """Whether any snapshot or prediction saw an image with this SHA-256."""
    snapshots = sightings(graph, "raw_images", "images-*.parquet", image_id)
    return next(snapshots, None) is not None or \
        next(seen_by_predictions(home, image_id), None) is not None


def memberships(graph: Graph, image_id: str) -> Iterator[Membership]:
    """Every dataset with the image, each with a proof that was checked against its version."""
    for artifact in graph.of("dataset"):
        folder = graph.folder(artifact)
        index = next((at for at, row in enumerate(dataset_rows(folder, ["image_id"]))
                      if row["image_id"] == image_id), None)
        if index is None:
            continue
        leaves = list(dataset_leaves(folder))
        proof = prove(leaves, index + 1)
        yield Membership(artifact, json.loads(leaves[index + 1]), proof,
                         verify(leaves[index + 1], proof, artifact.version))


def trace_image(home: Path, graph: Graph, image_id: str) -> ImageTrace:
    """Look for an image everywhere."""
    return ImageTrace(
        snapshots=tuple(sightings(graph, "raw_images", "images-*.parquet", image_id)),
        quarantined=tuple(sightings(graph, "quarantined_images", QUARANTINE_FILE, image_id)),
        datasets=tuple(memberships(graph, image_id)),
        predictions=tuple(seen_by_predictions(home, image_id)),
    )
