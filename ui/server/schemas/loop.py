"""The overview."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from ui.server.schemas.basics import Body, Fact, Part, Range, State
from ui.server.schemas.drift import DriftPair, Heat
from ui.server.schemas.rollout import Rollout


class Source(Body):
    """One program that the console asks; ``detail`` says why it does not answer."""

    name: str
    ok: bool
    configured: bool
    detail: str
    seen_at: AwareDatetime | None
    url: str = Field(description="a page for people; empty: none")


class Stage(Body):
    """One stop of the loop: data, model, service, drift or retrain."""

    key: Literal["data", "model", "service", "drift", "retrain"]
    title: str
    state: State
    status: str
    token: str = Field(description="what travels on from here, such as `v3`")
    link: Part
    facts: list[Fact]
    rests: list[str] = Field([], description="names of the sources that it is made from")


class VersionTraffic(Body):
    """What one model version did in a range of time."""

    version: str
    label: str
    slot: str
    share: float
    requests: int
    p50: float | None
    p95: float | None
    failures: float
    confidence: float | None
    low_confidence: float | None


class TrafficPoint(Body):
    """Requests a second by version label at one moment."""

    at: AwareDatetime
    rates: dict[str, float]


class Mark(Body):
    """Something that happened, to be drawn on a time axis."""

    at: AwareDatetime
    label: str


class Traffic(Body):
    """Requests over a range of time."""

    range: Range
    seconds: int = Field(description="between two points")
    points: list[TrafficPoint]
    versions: list[VersionTraffic]
    marks: list[Mark]


class Need(Body):
    """Something that waits for a person, or has just cleared; ``runbook`` says what to do."""

    id: str
    level: Literal["bad", "warn", "ask", "ok"]
    title: str
    detail: str
    link: Part | None = None
    runbook: Part | None = None
    since: AwareDatetime | None = None


class AuditView(Body):
    """One entry of the audit log; ``effect`` says what serves since, where that changed."""

    id: int
    effect: str
    at: AwareDatetime
    actor: str
    action: str
    reason: str
    details: dict[str, Any]
    sha256: str


class Audit(Body):
    """Entries, newest first. ``whole`` tells whether the chain of hashes holds."""

    entries: list[AuditView]
    total: int
    whole: bool
    problem: str


class Loop(Body):
    """Everything that the overview shows, merged from all sources."""

    at: AwareDatetime
    headline: list[Part]
    subline: str
    sources: list[Source]
    stages: list[Stage]
    turn: str = Field(description="a sentence about the turn of the loop that goes on")
    traffic: Traffic
    rollout: Rollout
    needs: list[Need]
    heat: Heat
    pairs: list[DriftPair]
    drift_at: AwareDatetime | None
    audit: list[AuditView]
    counts: dict[str, int] = Field(description="numbers beside pages in the navigation")
