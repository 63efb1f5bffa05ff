"""Checks of artifacts, records, references and memos: each names every damaged file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlops_assets.contracts.manifest import ROWS_FILE
from mlops_assets.lineage.graph import Artifact, Graph, record_files
from mlops_assets.lineage.pointers import dvc_pointer
from mlops_assets.provenance.hashing import RECORD_FILE, canonical_json
from mlops_assets.provenance.integrity import Damage, artifact_remedy, inspect_artifact
from mlops_assets.provenance.merkle import merkle_root
from mlops_assets.provenance.record import DamagedRecord, InputRef, ProvenanceRecord
from mlops_assets.provenance.rows import HEADER_FILE, dataset_leaves
from resources.store import ArtifactStore, DamagedArtifact, MissingArtifact

RESTORE: Final = "restore it from a backup"


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was looked at; ``what`` groups things of a kind, ``files`` counts files."""

    what: str
    name: str
    files: int
    damages: tuple[Damage, ...] = ()


def check_artifact(graph: Graph, folder: Path) -> Checked:
    """Every byte of one version, its Merkle root, its DVC pointer, and that its inputs are there.

    The graph may not know the version when its record is damaged.
    """
    record, damages = inspect_artifact(folder)
    asset, version = folder.parent.name, folder.name
    if record is not None and not damages:
        damages += _check_root(record, folder)
    damages += _check_pointer(folder)
    for parent in graph.inputs(Artifact(asset, version)):
        if not graph.folder(parent).is_dir():
            damages.append(Damage(graph.folder(parent), f"is missing, and `{asset}` {version} was "
                                  "made from it", artifact_remedy(graph.folder(parent))))
    files = len(record.files) + 2 if record is not None else 1
    return Checked(asset, version, files, tuple(damages))


def _check_root(record: ProvenanceRecord, folder: Path) -> list[Damage]:
    if record.rule != "merkle-rows-v1":
        return []
    bound = json.loads((folder / HEADER_FILE).read_bytes())["files"]
    others = {name: digest for name, digest in record.files.items()
              if name not in (ROWS_FILE, HEADER_FILE)}
    if merkle_root(dataset_leaves(folder)) == record.version and bound == others:
        return []
    return [Damage(folder, "has rows that do not give its Merkle root", artifact_remedy(folder))]


def _check_pointer(folder: Path) -> list[Damage]:
    pointer = folder.with_name(f"{folder.name}.dvc")
    if not pointer.is_file():
        return []
    if pointer.read_bytes() == dvc_pointer(folder):
        return []
    return [Damage(pointer, "is not what DVC writes of its folder",
                   f"when the folder itself is whole, run `dvc add {folder.name}` in "
                   f"{folder.parent}")]


def check_artifacts(graph: Graph, folders: Iterable[Path]) -> Iterator[Checked]:
    """Check versions, one after the other; one that is missing is damage too."""
    for folder in folders:
        if folder.is_dir():
            yield check_artifact(graph, folder)
        else:
            damage = Damage(folder, "is missing", artifact_remedy(folder))
            yield Checked(folder.parent.name, folder.name, 0, (damage,))


def check_records(store: ArtifactStore) -> Iterator[Checked]:
    """Every kept record is what was written, and speaks of its own asset."""
    for path in record_files(store):
        asset = path.parent.parent.name
        try:
            whole = store.record(asset, path.stem).asset == asset
        except (DamagedArtifact, MissingArtifact):
            whole = False
        damages = () if whole else (Damage(path, "is not the record of its name",
                                           _record_remedy(path)),)
        yield Checked("records", f"{asset}/{path.stem}", 1, damages)


def _record_remedy(path: Path) -> str:
    for copy in path.parent.parent.glob(f"*/{RECORD_FILE}"):
        try:
            if ProvenanceRecord.from_bytes(copy.read_bytes()).sha256 == path.stem:
                return f"copy {copy} over it"
        except DamagedRecord:
            continue
    return RESTORE


def check_references(store: ArtifactStore) -> Iterator[Checked]:
    """Every reference is readable and names a version that the store holds."""
    for path in sorted(store.root.glob("[!.]*/refs/*.json")):
        asset = path.parent.parent.name
        remedy = f"materialize `{asset}` again to write it anew"
        try:
            content = path.read_bytes()
            ref = InputRef(asset=asset, version=json.loads(content)["version"])
            problem = "" if content == canonical_json({"version": ref.version}) else "is damaged"
            if not (store.path(ref) / RECORD_FILE).is_file():
                problem = f"names version {ref.version}, which is not there"
        except (ValueError, KeyError, TypeError):
            problem = "is damaged"
        damages = (Damage(path, problem, remedy),) if problem else ()
        yield Checked("references", f"{asset}/{path.stem}", 1, damages)


def check_memos(store: ArtifactStore) -> Iterator[Checked]:
    """Every memo of a step names versions and records that are there, and that step."""
    for path in sorted((store.root / ".steps").glob("*.json")):
        try:
            outputs = store.recall(path.stem) or {}
            problem = "" if path.read_bytes() == canonical_json(outputs) else "is damaged"
            for asset, (version, sha256) in outputs.items():
                record = store.record(asset, sha256)
                if (record.version, record.step_key) != (version, path.stem):
                    problem = "names another step's record"
        except DamagedArtifact as error:
            problem = f"is damaged, or what it names: {error}"
        except MissingArtifact as error:
            problem = f"names what is not there: {error}"
        damages = (Damage(path, problem, "delete it; the step will run anew"),) if problem else ()
        yield Checked("memos", path.stem, 1, damages)


def folders_behind(graph: Graph, artifacts: Iterable[Artifact]) -> list[Path]:
    """Folders of the given artifacts and of everything that they were made from."""
    wanted = {each: None for top in artifacts for each in (top, *graph.ancestors(top))}
    return [graph.folder(each) for each in wanted]

