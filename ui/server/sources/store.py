"""The artifact store: models with their evaluations, drift reports, and what a rollout showed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from mlops_assets.contracts.confusion import confusion_matrix
from mlops_assets.contracts.files import (
    BENTO_FILE,
    EVALUATION_FILE,
    HISTORY_FILE,
    REGISTRATION_FILE,
)
from mlops_assets.contracts.model_card import ModelCard, read_card
from mlops_assets.lineage.graph import Artifact, Graph, load_graph
from mlops_assets.provenance.hashing import SUMMARY_FILE
from resources.store import ArtifactStore

REPORT_FILE: Final = "report.json"
SHOWN_REPORTS: Final = 28
# Kolmogorov's distribution: what chance passes in 1 % of looks, times the root of 1/n + 1/m.
KS_CHANCE: Final = 1.63


@dataclass(frozen=True, slots=True)
class Model:
    """One exported model; ``label`` is `v` and its number in the registry, or a short hash."""

    artifact: Artifact
    card: ModelCard
    label: str
    bento_tag: str
    created_at: datetime
    evaluation: dict[str, Any]
    size: int
    trained: Artifact | None


@dataclass(frozen=True, slots=True)
class Report:
    """One drift report: when it was made, its version, its body."""

    version: str
    at: datetime
    body: dict[str, Any]

    @property
    def model_version(self) -> str:
        """Of which model."""
        return str(self.body["model_version"])

    @property
    def limit(self) -> float:
        """The Kolmogorov-Smirnov distance that chance passes in 1 % of looks at one column."""
        here, there = max(1, self.body["window_rows"]), max(1, self.body["reference_rows"])
        return KS_CHANCE * math.sqrt(1 / here + 1 / there)


@dataclass(frozen=True, slots=True)
class Store:
    """What was seen of the store; models and reports are oldest first."""

    models: list[Model] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    judged: dict[str, Any] = field(default_factory=dict)
    judged_at: datetime | None = None
    dataset: dict[str, Any] = field(default_factory=dict)
    dataset_version: str = ""
    dataset_before: dict[str, Any] = field(default_factory=dict)
    graph: Graph | None = field(default=None, compare=False)

    @property
    def report(self) -> Report | None:
        """The latest drift report."""
        return self.reports[-1] if self.reports else None

    @property
    def reports_of_one(self) -> list[Report]:
        """The drift reports of the model that the latest is of."""
        latest = self.report
        return [] if latest is None else [each for each in self.reports
                                          if each.model_version == latest.model_version]

    def label(self, version: str) -> str:
        """The short name of a model version."""
        for model in self.models:
            if model.card.version == version:
                return model.label
        return version[:8]

    def model(self, version: str) -> Model | None:
        """The model with this version, or of which this is the beginning or the label."""
        for model in reversed(self.models):
            if model.card.version == version or model.label == version:
                return model
        return None


class StoreReader:
    """Reads the store again and again; what is immutable is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._models: dict[Artifact, Model] = {}
        self._reports: dict[Artifact, Report] = {}

    def look(self) -> Store:
        """What is in the store now; nothing before the first materialization."""
        if not self._root.is_dir():
            return Store()
        graph = load_graph(ArtifactStore(self._root))
        datasets = graph.of("dataset")
        judged = _current(graph, "rollout_report")
        return Store(
            models=[self._model(graph, each) for each in graph.of("exported_model")
                    if (graph.folder(each) / "model_card.json").is_file()],
            reports=[self._report(graph, each) for each in graph.of("drift_report")[-SHOWN_REPORTS:]
                     if (graph.folder(each) / REPORT_FILE).is_file()],
            judged={} if judged is None else _json(graph.folder(judged) / REPORT_FILE),
            judged_at=None if judged is None else _made(graph, judged),
            dataset=_values(graph, datasets[-1]) if datasets else {},
            dataset_version=datasets[-1].version if datasets else "",
            dataset_before=_values(graph, datasets[-2]) if len(datasets) > 1 else {},
            graph=graph,
        )

    def _model(self, graph: Graph, exported: Artifact) -> Model:
        users = sorted(graph.users.get(exported, ()))
        known = self._models.get(exported)
        if known is not None and known.bento_tag:
            return known
        folder = graph.folder(exported)
        trained = next((each for each in graph.inputs(exported) if each.asset == "trained_model"),
                       None)
        card = read_card(folder)
        made = Model(
            exported, card, _label(graph, users) or card.version[:8], _tag(graph, users),
            graph.records[exported][0].created_at, _evaluation(graph, trained),
            (folder / "model.onnx").stat().st_size, trained)
        self._models[exported] = made
        return made

    def _report(self, graph: Graph, artifact: Artifact) -> Report:
        if artifact not in self._reports:
            self._reports[artifact] = Report(
                artifact.version, _made(graph, artifact),
                _json(graph.folder(artifact) / REPORT_FILE))
        return self._reports[artifact]


def history(graph: Graph, trained: Artifact | None) -> list[dict[str, Any]]:
    """The epochs of a training."""
    path = None if trained is None else graph.folder(trained) / HISTORY_FILE
    return [] if path is None or not path.is_file() else list(json.loads(path.read_bytes()))


def confusion(graph: Graph, trained: Artifact | None) -> list[list[int]]:
    """Counts ``[K][K]`` of the test rows of a model: row is the label, column the answer."""
    import numpy as np

    place = _evaluation_of(graph, trained)
    if place is None:
        return []
    with np.load(graph.folder(place) / "predictions.npz", allow_pickle=False) as held:
        labels, probabilities = held["labels"], held["probabilities"]
    counts: list[list[int]] = confusion_matrix(
        labels, probabilities.argmax(axis=1), probabilities.shape[1]).tolist()
    return counts


def _json(path: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(path.read_bytes())
    return body


def _values(graph: Graph, artifact: Artifact) -> dict[str, Any]:
    path = graph.folder(artifact) / SUMMARY_FILE
    return dict(_json(path)["values"]) if path.is_file() else {}


def _made(graph: Graph, artifact: Artifact) -> datetime:
    return graph.records[artifact][-1].created_at


def _current(graph: Graph, asset: str) -> Artifact | None:
    ref = graph.store.current(asset)
    artifact = None if ref is None else Artifact(ref.asset, ref.version)
    return artifact if artifact in graph.records else None


def _label(graph: Graph, users: list[Artifact]) -> str:
    numbers = [_json(graph.folder(each) / REGISTRATION_FILE).get("registry_version")
               for each in users if each.asset == "registered_model"]
    return f"v{numbers[0]}" if numbers else ""


def _tag(graph: Graph, users: list[Artifact]) -> str:
    tags = [_json(graph.folder(each) / BENTO_FILE).get("tag", "")
            for each in users if each.asset == "model_bento"]
    return str(tags[-1]) if tags else ""


def _evaluation_of(graph: Graph, trained: Artifact | None) -> Artifact | None:
    if trained is None:
        return None
    found = [each for each in graph.users.get(trained, ()) if each.asset == "model_evaluation"]
    return max(found, key=lambda each: graph.records[each][-1].created_at, default=None)


def _evaluation(graph: Graph, trained: Artifact | None) -> dict[str, Any]:
    place = _evaluation_of(graph, trained)
    return {} if place is None else _json(graph.folder(place) / EVALUATION_FILE)
