"""Drift reports."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from ui.server.schemas.basics import Body


class HeatRow(Body):
    """One signal over time; ``cells`` are its distance over its limit, None where none is known."""

    name: str
    value: float | None
    limit: float
    over: bool
    cells: list[float | None]


class Heat(Body):
    """Signals by time: one column a drift report or a group of them."""

    times: list[AwareDatetime]
    rows: list[HeatRow]
    measure: str


class DriftPair(Body):
    """A request's image beside its nearest reference image; images by ``/api/v1/images/{sha}``."""

    prediction_id: str
    image: str
    label: str
    confidence: float
    nearest: str
    nearest_label: str
    distance: float


class SignalView(Body):
    """One signal of the trigger."""

    name: str
    evidence: float = Field(description="logarithm of the e-value")
    adjusted: float
    direction: int
    since: int


class ClassView(Body):
    """One class: its share of the answers, in the reference and now, and accuracy on labels."""

    name: str
    reference: float
    production: float
    accuracy: float | None
    labels: int


class AccuracyView(Body):
    """One way to tell accuracy."""

    how: str
    accuracy: float
    lower: float | None
    upper: float | None
    rows: int


class Drift(Body):
    """The latest drift report, with those before it as a heat strip."""

    known: bool
    verdict: str
    reason: str
    action: str
    action_reason: str
    at: AwareDatetime | None
    model: str
    window_rows: int
    window_size: int
    evidence: float | None
    alarm_at: float
    alpha: float
    history: list[float] = Field(description="logarithm of the e-value after each window")
    alarm_window: int
    signals: list[SignalView]
    heat: Heat
    classes: list[ClassView]
    accuracy: list[AccuracyView]
    pairs: list[DriftPair]
    report: str = Field(description="address of the whole report as a page; empty: none")
