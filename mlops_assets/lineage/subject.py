"""What an id names: a version of an asset, a model, an image or a prediction."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import (
    BENTO_FILE,
    BENTOML_FOLDER,
    REGISTRATION_FILE,
    bento_folder,
)
from mlops_assets.contracts.model_card import INT8_FILE, PROGRAM_FILE
from mlops_assets.contracts.prediction import PredictionRecord
from mlops_assets.lineage.graph import Artifact, Graph
from resources.journal import find, journal_folder
from resources.store import DamagedArtifact

MIN_PREFIX: Final = 8
_HEX: Final = re.compile(rf"[0-9a-f]{{{MIN_PREFIX},64}}")
_NAMED: Final = re.compile(r"[A-Za-z0-9._-]+[:/][A-Za-z0-9._-]+")

Kind = Literal["artifact", "model", "image", "prediction"]


class UnknownId(PlatformError):
    """Nothing, or more than one thing, in the platform home has this id."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an id names. A model is its exported program; a prediction has that of its model."""

    kind: Kind
    id: str
    artifact: Artifact | None = None
    prediction: PredictionRecord | None = None


def program_of(graph: Graph, exported: Artifact) -> str:
    """SHA-256 of the program in an ``exported_model``."""
    return graph.records[exported][0].files.get(PROGRAM_FILE, "")


def programs_of(graph: Graph, exported: Artifact) -> list[str]:
    """SHA-256 of each program in an ``exported_model`` that may answer."""
    files = graph.records[exported][0].files
    return [files[name] for name in (PROGRAM_FILE, INT8_FILE) if name in files]


def read_facts(graph: Graph, artifact: Artifact, name: str) -> dict[str, Any]:
    """A small JSON file of an artifact.

    Raises:
        DamagedArtifact: it is missing or no JSON object.
    """
    path = graph.folder(artifact) / name
    try:
        facts = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError) as error:
        raise DamagedArtifact(f"{path} is missing or damaged; see `mlops verify`") from error
    if not isinstance(facts, dict):
        raise DamagedArtifact(f"{path} is damaged; see `mlops verify`")
    return facts


def registered_name(graph: Graph, registered: Artifact) -> str:
    """``name/version`` of a ``registered_model`` in the registry."""
    facts = read_facts(graph, registered, REGISTRATION_FILE)
    return f"{facts.get('name')}/{facts.get('registry_version')}"


def bento_place(home: Path, tag: str) -> Path:
    """Where the bento of a tag lies, if it is still there."""
    return bento_folder(home / BENTOML_FOLDER, tag)


def bento_of_tag(graph: Graph, tag: str) -> Artifact | None:
    """The latest ``model_bento`` with this tag."""
    for bento in reversed(graph.of("model_bento")):
        if read_facts(graph, bento, BENTO_FILE).get("tag") == tag:
            return bento
    return None


def exported_model(graph: Graph, program_sha256: str) -> Artifact | None:
    """The latest ``exported_model`` with this program."""
    for exported in reversed(graph.of("exported_model")):
        if program_sha256 in programs_of(graph, exported):
            return exported
    return None


def resolve(home: Path, graph: Graph, text: str) -> Subject:
    """What ``text`` names.

    That may be a prediction id; a version or program hash, or at least 8 characters of its
    beginning; an image's SHA-256; a bento tag ``name:version``; ``name/version`` of the registry.

    Raises:
        UnknownId: nothing has this id, or several things have.
        JournalDamaged: the prediction's line is no record.
    """
    if _NAMED.fullmatch(text):
        return _named(graph, text)
    lower = text.lower()
    if not _HEX.fullmatch(lower):
        raise UnknownId(
            f"`{text}` is no id: give a prediction id, an image's SHA-256, at least {MIN_PREFIX} "
            "hex characters of a version, or a bento tag"
        )
    found = [
        Subject("model" if each.asset == "exported_model" else "artifact", each.version, each)
        for each in graph.records if each.version.startswith(lower)
    ] + [
        Subject("model", program, each) for each in graph.of("exported_model")[::-1]
        for program in programs_of(graph, each) if program.startswith(lower)
    ]
    if record := find(journal_folder(home), lower):
        exported = exported_model(graph, record.answer.model.sha256)
        found.append(Subject("prediction", lower, exported, record))
    if not found and len(lower) == 64 and _is_image(home, graph, lower):
        found.append(Subject("image", lower))
    if not found:
        lost = f" ({len(graph.damaged)} records are damaged: see `mlops verify`)"
        raise UnknownId(f"nothing in {home} has the id {text}{lost if graph.damaged else ''}")
    if len({each.id for each in found}) > 1:
        names = ", ".join(sorted({f"{each.kind} {each.id[:20]}" for each in found})[:4])
        raise UnknownId(f"{text} is the beginning of several ids: {names}; give more of it")
    return found[0]


def _is_image(home: Path, graph: Graph, sha256: str) -> bool:
    from mlops_assets.lineage.images import image_is_known

    return image_is_known(home, graph, sha256)


def _named(graph: Graph, text: str) -> Subject:
    for bento in reversed(graph.of("model_bento")):
        if read_facts(graph, bento, BENTO_FILE).get("tag") == text:
            return _exported_behind(graph, bento, text)
    for registered in reversed(graph.of("registered_model")):
        if registered_name(graph, registered) == text:
            return _exported_behind(graph, registered, text)
    raise UnknownId(f"there is no bento and no registered version `{text}`")


def _exported_behind(graph: Graph, artifact: Artifact, text: str) -> Subject:
    for each in graph.ancestors(artifact):
        if each.asset == "exported_model":
            return Subject("model", program_of(graph, each), each)
    raise UnknownId(f"the record of `{text}` names no exported model; see `mlops verify`")
