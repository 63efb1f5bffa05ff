"""What must be made again for a model, whether this place can, and whether it came out equal.

A model's program and weights are functions of raw bytes, code, locked libraries, settings, threads
and processor. All of them stand in the provenance records; what is not equal here is named before
anything is run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import CARD_FILE
from mlops_assets.lineage.graph import Artifact, Graph
from mlops_assets.provenance.environment import CodeState, cpu_model
from mlops_assets.provenance.hashing import BESIDE_CONTENT
from mlops_assets.provenance.record import InputRef, ProvenanceRecord
from resources.dvc import DvcRepository
from resources.store import ArtifactStore, DamagedArtifact, MissingArtifact

RUNS: Final = ("mlflow_run_id", "dagster_run_id")


class CanNotReproduce(PlatformError):
    """Something here differs from what the model was made with."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One artifact: ``got`` is the version made here, ``why`` says why it differs."""

    asset: str
    partition: str | None
    wanted: str
    got: str
    equal: bool
    why: str = ""


def generations(graph: Graph, exported: Artifact) -> list[Artifact]:
    """The exported models that must be made, the oldest first: those it went on from, and it."""
    found = [each for each in graph.ancestors(exported) if each.asset == "exported_model"]
    trained = [each for each in graph.ancestors(exported) if each.asset == "trained_model"]
    found += [user for each in trained for user in sorted(graph.users.get(each, ()))
              if user.asset == "exported_model"]
    return sorted({*found, exported}, key=lambda each: graph.records[each][0].created_at)


def direct(graph: Graph, exported: Artifact) -> dict[str, list[Artifact]]:
    """What one exported model was made from, without the models that it went on from."""
    found: dict[str, list[Artifact]] = {"exported_model": [exported]}

    def up(artifact: Artifact, asset: str) -> list[Artifact]:
        return [each for each in graph.inputs(artifact) if each.asset == asset]

    # One making of it: equal bytes may have been made twice, from inputs that differ.
    record = graph.records[exported][0]
    for asset in ("trained_model", "model_evaluation", "training_shards"):
        found[asset] = [Artifact(ref.asset, ref.version) for ref in record.inputs
                        if ref.asset == asset]
    card = json.loads((graph.folder(exported) / CARD_FILE).read_bytes())
    found["dataset"] = [Artifact("dataset", str(card["origin"]["dataset"]))]
    found["validated_images"] = up(found["dataset"][0], "validated_images")
    found["raw_images"] = [raw for each in found["validated_images"]
                           for raw in up(each, "raw_images")]
    return found


def differences(
    graph: Graph, exported: Artifact, code: CodeState, settings: Mapping[str, Any]
) -> list[str]:
    """What here is not as it was when the model was trained, each in words with both values.

    ``settings`` are the present training settings.
    """
    (trained,) = direct(graph, exported)["trained_model"]
    record = graph.records[trained][0]
    hardware = record.hardware
    pairs = [("code commit", record.code_commit, code.commit),
             ("lock file", record.lock_sha256, code.lock_sha256),
             ("processor", hardware["cpu"], cpu_model()),
             ("threads", hardware["threads"], settings["threads"]),
             ("device", hardware["device"], settings["device"])]
    found = [f"{name}: {before} then, {now} now" for name, before, now in pairs if before != now]
    if record.code_dirty or code.dirty:
        when = "then" if record.code_dirty else "now"
        found.append(f"code: the checkout had changes of its own {when}, which no commit names")
    return found + [f"setting training.{name}: {before} then, {now} now"
                    for name, before, now in _changed(record.config, settings)
                    if name not in ("threads", "device")]


def _changed(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield name, before.get(name), now.get(name)


def bring_raw(graph: Graph, raw: Artifact, scratch: ArtifactStore) -> list[InputRef]:
    """Copy a raw snapshot, fetched by DVC where it is not here whole; its partitions.

    What it came from (a batch of production's images came from its log) goes along, as whoever
    looks for ancestors reads the records of all.

    Raises:
        DvcError: DVC has it neither in its cache nor in a remote.
        DamagedArtifact: what DVC gave is not what the version names.
    """
    refs = [InputRef(asset=raw.asset, partition=record.partition, version=raw.version)
            for record in graph.records[raw]]
    folder = graph.folder(raw)
    try:
        graph.store.verify(refs[0])
    except (MissingArtifact, DamagedArtifact):
        shutil.rmtree(folder, ignore_errors=True)
        DvcRepository(graph.store.root).pull(f"{raw.asset}/{raw.version}.dvc")
        graph.store.verify(refs[0])
    for artifact in [raw, *graph.ancestors(raw)]:
        target = scratch.root / artifact.asset / artifact.version
        if not target.is_dir():
            shutil.copytree(graph.folder(artifact), target)
    for ref in refs:
        scratch.set_current(ref)
    return refs


def compare(graph: Graph, wanted: Artifact, partition: str | None, made: InputRef,
            scratch: ArtifactStore) -> Compared:
    """One artifact that was made again beside the one that is wanted."""
    equal = made.version == wanted.version or (
        wanted.asset == "exported_model" and _same_but_for_runs(
            graph.folder(wanted), scratch.path(made)))
    why = "" if equal else "; ".join(_reasons(graph.records[wanted][0], scratch.verify(made)))
    return Compared(wanted.asset, partition, wanted.version, made.version, equal, why)


def _reasons(before: ProvenanceRecord, now: ProvenanceRecord) -> Sequence[str]:
    found = [f"setting {name}: {old} then, {new} now"
             for name, old, new in _changed(before.config, now.config)]
    found += [f"{name}: {old} then, {new} now"
              for name, old, new in _changed(before.hardware, now.hardware)]
    if before.source_sha256 != now.source_sha256:
        found.append("other code")
    if before.lock_sha256 != now.lock_sha256:
        found.append("another lock file")
    files = [name for name in sorted({*before.files, *now.files})
             if before.files.get(name) != now.files.get(name)]
    return [*found, f"other bytes in {', '.join(files[:5])}"]


def _same_but_for_runs(there: Path, here: Path) -> bool:
    """Whether two exported models are equal but for the runs that their cards name."""
    names = [{path.name for path in folder.iterdir()} for folder in (there, here)]
    if names[0] != names[1]:
        return False
    # Beside the artifact lie its record and summary, which are of this making.
    beside = BESIDE_CONTENT | {CARD_FILE}
    return _card(there) == _card(here) and all(
        (there / name).read_bytes() == (here / name).read_bytes()
        for name in names[0] - beside)


def _card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_bytes())
    card["origin"] = {name: value for name, value in card["origin"].items() if name not in RUNS}
    return card
