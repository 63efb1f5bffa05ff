"""The lineage of one thing as a graph, and whether its bytes are whole."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from mlops_assets.lineage.graph import Graph
from mlops_assets.lineage.report import ArtifactView, Lineage, trace
from mlops_assets.lineage.subject import resolve
from mlops_assets.lineage.verification import verify_subject
from ui.server import schemas
from ui.server.sources.web import Unreachable
from ui.server.world import World

SHOWN_PREDICTIONS: Final = 12
SHORT: Final = 12
PROBLEMS: Final = 20


def lineage(world: World, text: str) -> schemas.LineageGraph:
    """Where the thing with this id came from and what came of it.

    Raises:
        UnknownId: nothing, or more than one thing, has this id.
        Unreachable: the store has not been read yet.
    """
    graph = _graph(world)
    home = world.console.home
    found = trace(home, graph, resolve(home, graph, text))
    drawing = _Drawing(world, found)
    drawing.draw()
    receipt = found.receipt
    return schemas.LineageGraph(
        id=found.id, kind=found.kind, title=_title(found),
        facts={key: _text(value) for key, value in found.facts.items()},
        image=_image(found), nodes=list(drawing.nodes.values()), edges=drawing.edges,
        receipt=None if receipt is None else receipt.model_dump(mode="json"))


def verify(world: World, text: str) -> schemas.Verified:
    """Every byte that one thing rests on, checked against its hash.

    Raises:
        UnknownId, Unreachable: as ``lineage``.
    """
    graph, home, began = _graph(world), world.console.home, time.monotonic()
    subject = resolve(home, graph, text)
    things: defaultdict[str, int] = defaultdict(int)
    files: defaultdict[str, int] = defaultdict(int)
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for checked in verify_subject(home, graph, subject):
        things[checked.what] += 1
        files[checked.what] += checked.files
        problems[checked.what] += [f"{damage.path} {damage.problem}; {damage.remedy}"
                                   for damage in checked.damages]
    return schemas.Verified(
        id=subject.id, whole=not any(problems.values()), seconds=time.monotonic() - began,
        lines=[schemas.VerifyLine(what=what, things=things[what], files=files[what],
                                  problems=problems[what][:PROBLEMS]) for what in things])


def _graph(world: World) -> Graph:
    graph = world.store.value.graph
    if graph is None:
        raise Unreachable("there is no artifact yet; run `make demo`, or set PLATFORM_HOME")
    return graph


def _title(found: Lineage) -> str:
    if found.kind == "prediction":
        return f"Prediction {found.id[:SHORT]}"
    if found.artifact is not None:
        return f"{found.artifact.asset} {found.artifact.version[:SHORT]}"
    return f"{found.kind.capitalize()} {found.id[:SHORT]}"


def _image(found: Lineage) -> str:
    if found.kind == "image":
        return found.id
    return str(found.facts.get("image_sha256", ""))


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


class _Drawing:
    """Nodes and arrows of one lineage."""

    def __init__(self, world: World, found: Lineage) -> None:
        self.nodes: dict[str, schemas.LineageNode] = {}
        self.edges: list[schemas.LineageEdge] = []
        self._world, self._found = world, found
        self._where = world.console.addresses

    def draw(self) -> None:
        """All of it."""
        found = self._found
        if found.artifact is not None:
            self._artifact(found.artifact, 0 if found.kind != "prediction" else -1)
        ranks = self._ranks()
        for each in found.made_from:
            self._artifact(each, ranks.get(each.key, -1))
        for key, parents in found.parents.items():
            for parent in parents:
                self._edge(parent, key)
        self._used_by(found.used_by)
        if found.kind == "prediction":
            self._prediction()
        if found.image is not None:
            self._seen_image()

    def _ranks(self) -> dict[str, int]:
        """Steps back from the top, by the arrows that are drawn."""
        top = self._found.artifact
        if top is None:
            return {}
        start = -1 if self._found.kind == "prediction" else 0
        ranks, level = {top.key: start}, [top.key]
        while level:
            level = [parent for key in level for parent in self._found.parents.get(key, ())
                     if ranks.get(parent, 1) >= ranks[key] and parent != key]
            for parent in level:
                nearest = min(ranks[key] for key, parents in self._found.parents.items()
                              if parent in parents and key in ranks)
                ranks[parent] = nearest - 1
        return ranks

    def _edge(self, source: str, target: str) -> None:
        if source in self.nodes and target in self.nodes:
            self.edges.append(schemas.LineageEdge(source=source, target=target))

    def _artifact(self, view: ArtifactView, rank: int) -> None:
        links = [schemas.Part(text="asset in Dagster",
                              href=f"{self._where.dagster_page}/assets/{view.asset}")] \
            if self._where.dagster else []
        run = view.facts.get("dagster_run_id")
        if run and self._where.dagster:
            links.append(schemas.Part(text="run in Dagster",
                                      href=f"{self._where.dagster_page}/runs/{run}"))
        mlflow = view.facts.get("mlflow_run_id")
        if mlflow and self._where.mlflow_page:
            links.append(schemas.Part(text="run in MLflow",
                                      href=f"{self._where.mlflow_page}/#/runs/{mlflow}"))
        facts = {"version": view.version, **{key: _text(value)
                                             for key, value in view.facts.items()}}
        if view.partitions:
            facts["batch"] = ", ".join(view.partitions)
        facts["made at"] = view.created_at
        label = self._world.store.value.label(view.facts.get("program_sha256", "-"))
        named = f" ({label})" if view.asset == "exported_model" and label else ""
        self.nodes[view.key] = schemas.LineageNode(
            id=view.key, kind="model" if view.asset == "exported_model" else "artifact",
            title=f"{view.asset}{named}",
            subtitle=view.partitions[0] if view.partitions else view.version[:SHORT],
            facts=facts, links=links, rank=rank)

    def _used_by(self, views: Iterable[ArtifactView]) -> None:
        views = list(views)
        for each in views:
            if each.key not in self.nodes:
                self._artifact(each, 1)
        for each in views:
            for source in each.inputs:
                self._edge(source, each.key)

    def _prediction(self) -> None:
        found, facts = self._found, self._found.facts
        self._node(found.id, "prediction", f"{facts['label']} {facts['confidence']:.0%}",
                   f"prediction {found.id[:SHORT]}", {
                       key: _text(facts[key]) for key in ("at", "slot", "bento_tag")}, 0)
        image = str(facts["image_sha256"])
        self._node(image, "image", "the request's image", image[:SHORT], {"sha256": image}, -1)
        self._edge(image, found.id)
        if found.artifact is not None:
            self._edge(found.artifact.key, found.id)
        for near in [] if found.receipt is None else found.receipt.nearest[:3]:
            self._node(near.image_id, "image", f"near: {near.label}", near.image_id[:SHORT], {
                "sha256": near.image_id, "distance": f"{near.distance:.3f}",
                "proof": "none" if near.proof is None else
                f"row {near.proof.index} of {near.proof.size}"}, -2)
            dataset = f"dataset/{found.receipt.origin.dataset}" if found.receipt else ""
            self._edge(near.image_id, dataset)

    def _seen_image(self) -> None:
        image = self._found.image
        if image is None:
            return
        self._node(self._found.id, "image", "this image", self._found.id[:SHORT], {}, 0)
        for sighting in image.snapshots:
            key = "/".join(sighting.artifact)
            self._node(key, "artifact", sighting.artifact.asset, key.split("/")[1][:SHORT], {}, 1)
            self._edge(self._found.id, key)
        for member in image.datasets:
            key = "/".join(member.artifact)
            self._node(key, "artifact", "dataset", member.artifact.version[:SHORT],
                       {"proof": "holds" if member.proven else "does not hold"}, 2)
            self._edge(self._found.id, key)
        for view in self._found.used_by:
            for source in view.inputs:
                self._edge(source, view.key)
        for record in image.predictions[:SHOWN_PREDICTIONS]:
            answer = record.answer
            self._node(answer.prediction_id, "prediction",
                       f"{answer.label} {answer.confidence:.0%}",
                       f"prediction {answer.prediction_id[:SHORT]}", {}, 3)
            self._edge(self._found.id, answer.prediction_id)

    def _node(self, key: str, kind: Any, title: str, subtitle: str, facts: dict[str, str],
              rank: int) -> None:
        if key not in self.nodes:
            self.nodes[key] = schemas.LineageNode(id=key, kind=kind, title=title,
                                                  subtitle=subtitle, facts=facts, links=[],
                                                  rank=rank)
