"""The platform as it was at a moment: what served, on what data, with which alerts and limits.

What served is the audit log's last change before the moment; data and reports are the latest that
were made before it. A version that was reused, not made again, counts from when it was made first.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.lineage.graph import Artifact, Graph
from mlops_assets.lineage.subject import read_facts
from mlops_assets.provenance.hashing import SUMMARY_FILE
from mlops_assets.provenance.record import ProvenanceRecord

# Whose settings decide: of the drift report, the gate and the judgement of a rollout.
JUDGES: Final = {"drift_report": "drift", "model_evaluation": "gate", "rollout_report": "rollout"}
TOLD: Final = ("verdict", "reason", "action", "action_reason", "evidence", "gate", "gate_reason",
               "accuracy")
ALERTS: Final = {("drift_report", "watch"), ("drift_report", "drifted"),
                 ("rollout_report", "roll back")}


class BadMoment(PlatformError):
    """A moment is ISO 8601, as 2026-11-23T10:00Z, and not in the future."""


@dataclass(frozen=True, slots=True)
class Made:
    """A version that was the latest of its asset and partition."""

    asset: str
    partition: str | None
    version: str
    made_at: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AsOf:
    """``thresholds`` are the settings of each judge, ``changes`` the last entries of the audit."""

    at: str
    state: RolloutState
    latest: tuple[Made, ...]
    alerts: tuple[Made, ...]
    thresholds: dict[str, dict[str, Any]]
    changes: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"at": self.at, "state": self.state.model_dump(mode="json"),
                "latest": [asdict(each) for each in self.latest],
                "alerts": [asdict(each) for each in self.alerts],
                "thresholds": self.thresholds, "changes": list(self.changes)}


def read_moment(text: str) -> datetime:
    """A moment; without a zone it is UTC.

    Raises:
        BadMoment: no ISO 8601, or in the future.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadMoment(f"`{text}` is no moment; write it as 2026-11-23T10:00Z") from error
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if found > datetime.now(UTC):
        raise BadMoment(f"{found.isoformat()} is in the future")
    return found


def look_back(home: Path, graph: Graph, moment: datetime, *, changes: int = 5) -> AsOf:
    """Everything that held at ``moment``.

    Raises:
        BrokenAuditLog: an entry was changed, removed or put in.
    """
    from resources.platform_db import PlatformDatabase, in_utc

    with closing(PlatformDatabase(home)) as database:
        entries = [each for each in database.read_audit()
                   if in_utc(datetime.fromisoformat(each.at)) <= moment]
    states = [each.details["state"] for each in entries if "state" in each.details]
    state = RolloutState.model_validate(states[-1]) if states else RolloutState(revision=0)
    records = _latest(graph, moment)
    made = [_made(graph, record) for record in records]
    return AsOf(
        at=moment.isoformat(), state=state, latest=tuple(made),
        alerts=tuple(each for each in made if (each.asset, each.facts.get("verdict")) in ALERTS),
        thresholds={JUDGES[record.asset]: record.config for record in records
                    if record.asset in JUDGES},
        changes=tuple(asdict(each) for each in entries[-changes:]),
    )


def _latest(graph: Graph, moment: datetime) -> Sequence[ProvenanceRecord]:
    """The last record before a moment of each asset; of each partition where they are batches."""
    found: dict[tuple[str, str | None], ProvenanceRecord] = {}
    for records in graph.records.values():
        for record in records:
            hourly = record.asset in ("prediction_log", "feedback_labels")
            key = (record.asset, None if hourly else record.partition)
            if record.created_at <= moment and (
                    key not in found or record.created_at > found[key].created_at):
                found[key] = record
    return sorted(found.values(), key=lambda record: record.created_at)


def _made(graph: Graph, record: ProvenanceRecord) -> Made:
    artifact = Artifact(record.asset, record.version)
    values: dict[str, Any] = {}
    if (graph.folder(artifact) / SUMMARY_FILE).is_file():
        values = dict(read_facts(graph, artifact, SUMMARY_FILE).get("values") or {})
    return Made(record.asset, record.partition, record.version, record.created_at.isoformat(),
                {name: values[name] for name in TOLD if name in values})
