"""The artifacts of a store and the arrows between them, from their records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from mlops_assets.provenance.hashing import RECORD_FILE
from mlops_assets.provenance.record import DamagedRecord, InputRef, ProvenanceRecord
from resources.store import ArtifactStore

COMPARISON: Final = "model_evaluation"
NOT_VERSIONS: Final = frozenset({"refs", "records"})


class Artifact(NamedTuple):
    """One version of an asset; partitions with equal content share it."""

    asset: str
    version: str


@dataclass(slots=True)
class Graph:
    """Every record by its artifact, oldest first; ``damaged`` names those that can not be read."""

    store: ArtifactStore
    records: dict[Artifact, list[ProvenanceRecord]] = field(default_factory=dict)
    users: dict[Artifact, set[Artifact]] = field(default_factory=dict)
    damaged: list[Path] = field(default_factory=list)

    def add(self, record: ProvenanceRecord) -> None:
        """Take in one record."""
        artifact = Artifact(record.asset, record.version)
        known = self.records.setdefault(artifact, [])
        if record in known:
            return
        known.append(record)
        known.sort(key=lambda each: each.created_at)
        for ref in record.inputs:
            self.users.setdefault(Artifact(ref.asset, ref.version), set()).add(artifact)

    def folder(self, artifact: Artifact) -> Path:
        """Where an artifact lies; brought back from the store's remote where it is missing."""
        return self.store.path(
            InputRef(asset=artifact.asset, partition=None, version=artifact.version))

    def inputs(self, artifact: Artifact) -> list[Artifact]:
        """What an artifact was made from, over all its materializations, sorted."""
        return sorted({
            Artifact(ref.asset, ref.version)
            for record in self.records.get(artifact, []) for ref in record.inputs
        })

    def ancestors(self, artifact: Artifact) -> list[Artifact]:
        """Everything that an artifact was made from, nearest first."""
        return _reach(artifact, self.inputs)

    def descendants(self, artifact: Artifact) -> list[Artifact]:
        """Everything that was made from an artifact, nearest first."""
        return _reach(artifact, lambda each: sorted(self.users.get(each, ())))

    def learnt_from(self, artifact: Artifact) -> list[Artifact]:
        """Descendants, but for what only a comparison with it leads to.

        A candidate is judged against its champion, and does not learn from it thereby.
        """
        def users(each: Artifact) -> list[Artifact]:
            return [] if each.asset == COMPARISON else sorted(self.users.get(each, ()))

        return _reach(artifact, users)

    def parents(self, artifact: Artifact) -> list[Artifact]:
        """The inputs that are not themselves inputs of another input, at any depth."""
        direct = self.inputs(artifact)
        further = {each for parent in direct for each in self.ancestors(parent)}
        return [each for each in direct if each not in further]

    def of(self, asset: str) -> list[Artifact]:
        """The versions of one asset, oldest first."""
        found = [each for each in self.records if each.asset == asset]
        return sorted(found, key=lambda each: self.records[each][0].created_at)


def _reach(start: Artifact, step: Callable[[Artifact], Iterable[Artifact]]) -> list[Artifact]:
    found: dict[Artifact, None] = {}
    level = [start]
    while level:
        level = [each for near in level for each in step(near) if each not in found]
        found |= dict.fromkeys(level)
    found.pop(start, None)
    return list(found)


def version_folders(store: ArtifactStore) -> Iterator[Path]:
    """The folder of every version of every asset in a store, sorted."""
    for asset in sorted(store.root.glob("[!.]*")):
        if asset.is_dir():
            yield from (each for each in sorted(asset.iterdir())
                        if each.is_dir() and each.name not in NOT_VERSIONS)


def record_files(store: ArtifactStore) -> list[Path]:
    """The record of every materialization, sorted."""
    return sorted(store.root.glob("[!.]*/records/*.json"))


def load_graph(store: ArtifactStore) -> Graph:
    """Read every record of a store; about 0.1 ms each."""
    graph = Graph(store)
    seen: set[bytes] = set()
    beside = (folder / RECORD_FILE for folder in version_folders(store))
    for path in (*record_files(store), *beside):
        try:
            content = path.read_bytes()
            if content not in seen:
                graph.add(ProvenanceRecord.from_bytes(content))
                seen.add(content)
        except (FileNotFoundError, DamagedRecord):
            graph.damaged.append(path)
    return graph
