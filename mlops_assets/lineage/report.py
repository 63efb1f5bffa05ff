"""The lineage of one thing, ready to be shown: where it came from and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.contracts.files import BENTO_FILE
from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.lineage.graph import Artifact, Graph
from mlops_assets.lineage.pointers import pointer_hash
from mlops_assets.lineage.subject import (
    Kind,
    Subject,
    bento_of_tag,
    bento_place,
    program_of,
    read_facts,
    registered_name,
)
from mlops_assets.provenance.hashing import SUMMARY_FILE

if TYPE_CHECKING:
    from mlops_assets.contracts.receipt import Receipt
    from mlops_assets.lineage.images import ImageTrace


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """One artifact with what a person asks about it; ``inputs`` are ``asset/version``."""

    asset: str
    version: str
    partitions: tuple[str, ...]
    created_at: str
    facts: dict[str, Any]
    inputs: tuple[str, ...]

    @property
    def key(self) -> str:
        """``asset/version``, as it stands in ``inputs``."""
        return f"{self.asset}/{self.version}"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The answer to ``mlops lineage``; ``made_from`` and ``used_by`` are nearest first.

    ``parents`` maps each ``asset/version`` to those inputs that no other input was made from.
    """

    kind: Kind
    id: str
    facts: dict[str, Any]
    artifact: ArtifactView | None = None
    made_from: tuple[ArtifactView, ...] = ()
    used_by: tuple[ArtifactView, ...] = ()
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    image: ImageTrace | None = None
    receipt: Receipt | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; dates as ISO 8601. Embeddings are left out."""
        body = asdict(self)
        body["receipt"] = None if self.receipt is None else self.receipt.model_dump(mode="json")
        if self.image is not None:
            body["image"]["predictions"] = [describe_prediction(p) for p in self.image.predictions]
            for name in ("snapshots", "quarantined", "datasets"):
                for entry in body["image"][name]:
                    entry["artifact"] = "/".join(entry["artifact"])
        return body


def describe_prediction(record: PredictionRecord) -> dict[str, Any]:
    """What a prediction said, of what, by which model."""
    answer = record.answer
    return {
        "prediction_id": answer.prediction_id, "at": record.at.isoformat(), "label": answer.label,
        "confidence": answer.confidence, "image_sha256": record.image_sha256,
        "model": f"{answer.model.name} {answer.model.version}", "slot": answer.model.slot,
        "program_sha256": answer.model.sha256, "bento_tag": record.bento_tag,
    }


def describe_model(graph: Graph, exported: Artifact) -> dict[str, Any]:
    """Program hash, bento tags, registry version, MLflow run and commit of an exported model."""
    facts: dict[str, Any] = {"program_sha256": program_of(graph, exported)}
    users = sorted(graph.users.get(exported, ()))
    tags = {str(read_facts(graph, each, BENTO_FILE).get("tag")) for each in users
            if each.asset == "model_bento"}
    names = {registered_name(graph, each) for each in users if each.asset == "registered_model"}
    if names:
        facts["registered_as"] = ", ".join(sorted(names))
    if tags:
        facts["bento_tag"] = ", ".join(sorted(tags))
    for parent in graph.inputs(exported):
        if parent.asset == "trained_model":
            trained = view(graph, parent).facts
            facts |= {name: trained[name] for name in ("mlflow_run_id", "commit")
                      if name in trained}
    return facts


def _values(graph: Graph, artifact: Artifact) -> dict[str, Any]:
    values = read_facts(graph, artifact, SUMMARY_FILE).get("values")
    return values if isinstance(values, dict) else {}


def _own_facts(graph: Graph, artifact: Artifact) -> dict[str, Any]:
    folder = graph.folder(artifact)
    match artifact.asset:
        case "raw_images" if folder.with_name(f"{artifact.version}.dvc").is_file():
            return {"dvc": pointer_hash(folder) or "damaged"}
        case "dataset":
            return {"merkle_root": artifact.version, "rows": _values(graph, artifact).get("rows")}
        case "trained_model":
            return {"mlflow_run_id": _values(graph, artifact).get("mlflow_run_id"),
                    "seed": graph.records[artifact][-1].seed}
        case "exported_model":
            return {"program_sha256": program_of(graph, artifact)}
        case "model_bento":
            return {"bento_tag": read_facts(graph, artifact, BENTO_FILE).get("tag", "")}
    return {}


def view(graph: Graph, artifact: Artifact) -> ArtifactView:
    """One artifact for people; an input that is not in the store has no facts but that."""
    records = graph.records.get(artifact)
    if records is None or not graph.folder(artifact).is_dir():
        return ArtifactView(*artifact, (), "", {"missing": "not in the store"}, ())
    last = records[-1]
    facts = {**_own_facts(graph, artifact), "commit": last.code_commit,
             "dirty": last.code_dirty, "dagster_run_id": last.dagster_run_id}
    return ArtifactView(
        *artifact, tuple(sorted({each.partition for each in records if each.partition})),
        last.created_at.isoformat(), facts,
        tuple("/".join(each) for each in graph.inputs(artifact)),
    )


def _views(graph: Graph, artifacts: Iterable[Artifact]) -> tuple[ArtifactView, ...]:
    return tuple(view(graph, each) for each in artifacts)


def make_receipt(home: Path, graph: Graph, subject: Subject) -> Receipt | None:
    """The receipt of a prediction; None where neither its bento nor its model is here."""
    from mlops_assets.contracts.model_card import read_card
    from resources.journal import find_line, journal_folder
    from resources.receipts import issue

    found = find_line(journal_folder(home), subject.id)
    if found is None:
        return None
    record, line = found
    places = [bento_place(home, record.bento_tag) / "src" / "model"]
    if subject.artifact is not None:
        places.append(graph.folder(subject.artifact))
    for place in places:
        with suppress(FileNotFoundError):
            card = read_card(place)
            if card.program_sha256 == record.answer.model.sha256:
                return issue(record, line, card, place, home)
    return None


def trace(home: Path, graph: Graph, subject: Subject) -> Lineage:
    """Everything known about one thing."""
    if subject.kind == "image":
        # Parquet is read for images alone; importing it takes longer than everything else here.
        from mlops_assets.lineage.images import trace_image

        image = trace_image(home, graph, subject.id)
        models = {each: None for member in image.datasets
                  for each in graph.learnt_from(member.artifact)}
        return Lineage("image", subject.id, {}, image=image, used_by=_views(graph, models))
    facts: dict[str, Any] = {}
    receipt: Receipt | None = None
    top = subject.artifact
    if subject.prediction is not None:
        facts = describe_prediction(subject.prediction)
        top = bento_of_tag(graph, subject.prediction.bento_tag) or top
        facts["model_is_in_store"] = subject.artifact is not None
        receipt = make_receipt(home, graph, subject)
    if subject.artifact is not None and subject.artifact.asset == "exported_model":
        facts |= {name: value for name, value in describe_model(graph, subject.artifact).items()
                  if name not in facts}
    if top is None:
        return Lineage(subject.kind, subject.id, facts, receipt=receipt)
    ancestors = graph.ancestors(top)
    return Lineage(
        subject.kind, subject.id, facts, artifact=view(graph, top),
        made_from=_views(graph, ancestors),
        used_by=() if subject.kind == "prediction" else _views(graph, graph.descendants(top)),
        parents={"/".join(each): tuple("/".join(parent) for parent in graph.parents(each))
                 for each in (top, *ancestors)},
        receipt=receipt,
    )
