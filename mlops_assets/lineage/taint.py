"""What an image has been in: datasets, models and bentos that would be other ones without it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlops_assets.contracts.files import BENTO_FILE
from mlops_assets.lineage.graph import Artifact, Graph
from mlops_assets.lineage.images import trace_image
from mlops_assets.lineage.subject import program_of, read_facts


@dataclass(frozen=True, slots=True)
class Taint:
    """Versions, program hashes and tags; ``splits`` maps each dataset to the image's split.

    A model is tainted by an image that it was trained, tuned or tested on. ``serving`` names the
    slots that hold a tainted bento now.
    """

    batches: tuple[str, ...]
    splits: dict[str, str]
    models: tuple[str, ...]
    bentos: tuple[str, ...]
    serving: tuple[str, ...]
    predictions: int

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def find_taint(home: Path, graph: Graph, image_sha256: str, slots: dict[str, str]) -> Taint:
    """Everything that an image went into; ``slots`` maps a slot to the tag that it holds."""
    image = trace_image(home, graph, image_sha256)
    behind: dict[Artifact, None] = {}
    for member in image.datasets:
        behind |= dict.fromkeys(graph.learnt_from(member.artifact))
    tags = tuple(dict.fromkeys(
        str(read_facts(graph, each, BENTO_FILE).get("tag")) for each in behind
        if each.asset == "model_bento"))
    return Taint(
        batches=tuple(dict.fromkeys(str(seen.facts["batch"]) for seen in image.snapshots)),
        splits={member.artifact.version: member.row["split"] for member in image.datasets},
        models=tuple(dict.fromkeys(
            program_of(graph, each) for each in behind if each.asset == "exported_model")),
        bentos=tags, serving=tuple(slot for slot, tag in slots.items() if tag in tags),
        predictions=len(image.predictions),
    )
