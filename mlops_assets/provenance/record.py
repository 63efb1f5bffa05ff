"""The provenance record that stands beside every artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import RECORD_FILE, canonical_json, sha256_bytes

VersionRule = Literal["tree-v1", "merkle-rows-v1"]


class DamagedRecord(PlatformError):
    """A record's bytes are not what was written."""


class InputRef(BaseModel):
    """One input as read: the exact version whose bytes a step was given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    partition: str | None = None
    version: str


class ProvenanceRecord(BaseModel):
    """Who made these bytes, from what. ``files`` maps relative paths to their SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asset: str
    partition: str | None
    version: str
    rule: VersionRule
    files: dict[str, str]
    summary_sha256: str
    inputs: list[InputRef]
    step_key: str
    code_commit: str
    code_dirty: bool
    source_sha256: str
    lock_sha256: str
    config: dict[str, Any]
    config_sha256: str
    seed: int
    hardware: dict[str, str | int]
    dagster_run_id: str
    created_at: AwareDatetime

    def to_bytes(self) -> bytes:
        """Canonical JSON with the hash of everything else under ``record_sha256``."""
        body = self.model_dump(mode="json")
        return canonical_json({**body, "record_sha256": sha256_bytes(canonical_json(body))})

    @property
    def sha256(self) -> str:
        """Hash of the record, as it stands in ``record_sha256``."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json")))

    @classmethod
    def from_bytes(cls, content: bytes) -> ProvenanceRecord:
        """Parse and check a stored record; every byte counts.

        Raises:
            DamagedRecord: the bytes are not exactly those that ``to_bytes`` gives.
        """
        try:
            body = json.loads(content)
            body.pop("record_sha256")
            record = cls.model_validate(body)
            written = record.to_bytes()
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise DamagedRecord(f"not a provenance record: {reason}") from error
        if written != content:
            raise DamagedRecord("the record's bytes do not match its own hash")
        return record


def read_record(folder: Path) -> ProvenanceRecord:
    """The record beside the artifact in ``folder``.

    Raises:
        DamagedRecord: missing or changed.
    """
    path = folder / RECORD_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedRecord(f"{path} is missing") from error
    try:
        return ProvenanceRecord.from_bytes(content)
    except DamagedRecord as error:
        raise DamagedRecord(f"{path}: {error}") from error
