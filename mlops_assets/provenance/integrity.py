"""Whether stored bytes are still those that their hashes name, and what to do when not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlops_assets.provenance.hashing import (
    RECORD_FILE,
    SUMMARY_FILE,
    digest_files,
    sha256_file,
    tree_version,
)
from mlops_assets.provenance.record import DamagedRecord, ProvenanceRecord, read_record


@dataclass(frozen=True, slots=True)
class Damage:
    """One file that is not what was written, what is wrong with it, and what to do."""

    path: Path
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path} {self.problem}; {self.remedy}"


def artifact_remedy(folder: Path) -> str:
    """How the version of an asset in ``folder`` is made whole again."""
    again = f"materialize `{folder.parent.name}` again (the damaged copy is set aside)"
    if folder.with_name(f"{folder.name}.dvc").is_file():
        where = folder.parent.parent
        return f"in {where} run `dvc checkout --force {folder.relative_to(where)}.dvc`, or {again}"
    return again


def inspect_artifact(folder: Path) -> tuple[ProvenanceRecord | None, list[Damage]]:
    """The record of the version in ``<asset>/<version>/`` and every file that does not match it.

    A damaged record is the only damage told, as the other files have nothing to be compared with.
    """
    asset, version, remedy = folder.parent.name, folder.name, artifact_remedy(folder)
    try:
        record = read_record(folder)
    except DamagedRecord as error:
        problem = str(error).removeprefix(f"{folder / RECORD_FILE}").lstrip(": ")
        return None, [Damage(folder / RECORD_FILE, f"is damaged: {problem}", remedy)]
    if (record.asset, record.version) != (asset, version):
        problem = f"is of another artifact, `{record.asset}` {record.version}"
        return record, [Damage(folder / RECORD_FILE, problem, remedy)]
    if record.rule == "tree-v1" and tree_version(record.files) != version:
        problem = "lists files that do not give this version"
        return record, [Damage(folder / RECORD_FILE, problem, remedy)]
    try:
        found = digest_files(folder)
    except (OSError, ValueError) as error:
        return record, [Damage(folder, f"can not be read: {error}", remedy)]
    damages = [
        Damage(folder / name, _problem(record.files.get(name), found.get(name)), remedy)
        for name in sorted(record.files.keys() | found.keys())
        if record.files.get(name) != found.get(name)
    ]
    summary = folder / SUMMARY_FILE
    if not summary.is_file() or sha256_file(summary) != record.summary_sha256:
        kept = record.summary_sha256 if summary.is_file() else None
        damages.append(Damage(summary, _problem(record.summary_sha256, kept), remedy))
    return record, damages


def _problem(recorded: str | None, found: str | None) -> str:
    if found is None:
        return "is missing"
    return "does not belong to the artifact" if recorded is None else "does not match its hash"
