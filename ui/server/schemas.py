"""Bodies of the console's API. Web types are generated from them.

Times are ISO 8601 in UTC; shares, accuracies and confidences are 0 to 1; latencies are
milliseconds. ``tone`` says what a value means to a person: warm tones ask for attention.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Tone = Literal["plain", "ok", "warn", "bad", "dim"]
State = Literal["ok", "warn", "bad", "wait", "idle"]
Role = Literal["viewer", "operator", "admin"]
Range = Literal["1h", "24h", "14d"]
Action = Literal["promote", "advance", "hold", "rollback"]


class Body(BaseModel):
    """Base of every body: nothing but what is declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Body):
    """An error, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Me(Body):
    """Who looks, what they may do, and at what."""

    name: str
    role: Role
    login: bool = Field(description="whether this console asks who one is")
    project: str
    profile: str
    csrf: str = Field(description="to send as X-CSRF-Token with every change")


class Source(Body):
    """One program that the console asks; ``detail`` says why it does not answer."""

    name: str
    ok: bool
    configured: bool
    detail: str
    seen_at: AwareDatetime | None
    url: str = Field(description="a page for people; empty: none")


class Part(Body):
    """A piece of a sentence; with ``href`` it leads to a page of the console."""

    text: str
    href: str = ""


class Fact(Body):
    """One line of a stage."""

    label: str
    value: str
    tone: Tone = "plain"
    mono: bool = False
    aside: str = ""


class Stage(Body):
    """One stop of the loop: data, model, service, drift or retrain."""

    key: Literal["data", "model", "service", "drift", "retrain"]
    title: str
    state: State
    status: str
    token: str = Field(description="what travels on from here, such as `v3`")
    link: Part
    facts: list[Fact]


class SlotView(Body):
    """One model version in one slot; ``label`` is its short name, such as `v3`."""

    slot: str
    label: str
    version: str
    bento_tag: str
    weight: float


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


class Finding(Body):
    """One metric of a judgement: challenger minus champion, with the margin it is held to.

    All are shares of answers for which something bad happened: lower is better.
    """

    metric: str
    lower: float
    upper: float
    margin: float
    challenger: float
    challenger_of: int
    champion: float
    champion_of: int
    verdict: Literal["worse", "not worse", "not clear yet"]


class StepView(Body):
    """One step of the ladder."""

    step: str
    share: float
    state: Literal["done", "now", "next"]


class Rollout(Body):
    """The state of serving, and the judgement of a rollout."""

    revision: int
    step: str
    reason: str
    changed_at: AwareDatetime | None
    slots: list[SlotView]
    previous: SlotView | None
    ladder: list[StepView]
    verdict: str
    verdict_reason: str
    judged_at: AwareDatetime | None
    findings: list[Finding]
    automatic: bool
    may: list[Action] = Field(description="what the state allows now")


class Need(Body):
    """Something that waits for a person, or has just cleared."""

    id: str
    level: Literal["bad", "warn", "ask", "ok"]
    title: str
    detail: str
    link: Part | None = None
    since: AwareDatetime | None = None


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


class AuditView(Body):
    """One entry of the audit log."""

    id: int
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


class ModelRow(Body):
    """One exported model version."""

    version: str
    label: str
    bento_tag: str
    architecture: str
    slot: str
    gate: str
    created_at: AwareDatetime
    accuracy: float | None
    macro_f1: float | None
    ece: float | None
    size_mb: float | None


class ClassScore(Body):
    """Scores of one class."""

    name: str
    precision: float
    recall: float
    f1: float
    rows: int


class ReliabilityBin(Body):
    """Answers of about one confidence, and how many were right."""

    confidence: float
    accuracy: float
    rows: int


class GateSlice(Body):
    """Both models on one slice; ``difference`` is candidate minus champion accuracy."""

    name: str
    rows: int
    candidate: float
    champion: float
    difference: float
    lower: float
    upper: float
    verdict: str


class Epoch(Body):
    """One epoch of training."""

    epoch: int
    training_loss: float | None
    validation_loss: float | None
    validation_accuracy: float | None


class ModelDetail(ModelRow):
    """One model with what its evaluation says."""

    gate_reason: str
    dataset: str
    commit: str
    mlflow_url: str
    dagster_url: str
    classes: list[str]
    confusion: list[list[int]] = Field(description="rows: truth, columns: answer")
    scores: list[ClassScore]
    reliability: list[ReliabilityBin]
    slices: list[GateSlice]
    history: list[Epoch]


class PredictionRow(Body):
    """One answer. ``truth`` is its late label, where there is one."""

    id: str
    at: AwareDatetime
    label: str
    confidence: float
    truth: str | None
    model: str = Field(description="short name of the model version")
    version: str
    slot: str
    latency_ms: float
    novelty: float | None
    image: str
    image_kept: bool
    step: str


class Predictions(Body):
    """Newest first. ``total`` counts those that match and are held in memory."""

    rows: list[PredictionRow]
    total: int
    older: str | None = Field(description="`before` of the next page")


class NeighbourView(Body):
    """A training image near the answered one."""

    image: str
    label: str
    distance: float
    proven: bool
    row: int | None


class PredictionDetail(PredictionRow):
    """One answer with what leads on from it."""

    probabilities: dict[str, float]
    bento_tag: str
    program_sha256: str
    record_sha256: str
    weight: float
    revision: int
    caller: str
    cached: bool
    origin: dict[str, str]
    nearest: list[NeighbourView]
    receipt: bool


class LineageNode(Body):
    """One thing; ``kind`` picks its look."""

    id: str
    kind: Literal["prediction", "image", "artifact", "journal", "model"]
    title: str
    subtitle: str
    facts: dict[str, str]
    links: list[Part]
    rank: int = Field(description="steps from the thing that was asked for; negative: made of it")


class LineageEdge(Body):
    """``target`` was made from, or saw, ``source``."""

    source: str
    target: str


class LineageGraph(Body):
    """Where one thing came from and what came of it."""

    id: str
    kind: str
    title: str
    facts: dict[str, str]
    image: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    receipt: dict[str, Any] | None


class VerifyLine(Body):
    """One group of things that were checked."""

    what: str
    things: int
    files: int
    problems: list[str]


class Verified(Body):
    """What `mlops verify` says of one thing."""

    id: str
    whole: bool
    seconds: float
    lines: list[VerifyLine]


class Sample(Body):
    """A held-out image to try."""

    image: str
    label: str


class QueueRow(Body):
    """A kept image of a request that a label would help with."""

    id: str
    image: str
    at: AwareDatetime
    label: str
    confidence: float
    novelty: float | None
    probabilities: dict[str, float]
    why: str


class Queue(Body):
    """The label queue: ``done`` of ``wanted`` labels for the model that serves."""

    rows: list[QueueRow]
    classes: list[str]
    open: int
    done: int
    wanted: int


class AlertView(Body):
    """One alert, from Alertmanager or of the console's own."""

    id: str
    name: str
    severity: Literal["critical", "warning", "info"]
    state: Literal["firing", "resolved"]
    summary: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    runbook: str
    source: str


class Alerts(Body):
    """Alerts, firing ones first. ``routed`` tells whether Alertmanager is connected."""

    alerts: list[AlertView]
    routed: bool


class SensorView(Body):
    """A Dagster sensor or schedule."""

    name: str
    running: bool
    last_tick_at: AwareDatetime | None
    last_tick: str
    description: str


class RunView(Body):
    """A Dagster run."""

    id: str
    job: str
    status: str
    partition: str
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    reason: str
    url: str


class Automation(Body):
    """What runs by itself."""

    sensors: list[SensorView]
    runs: list[RunView]
    jobs: list[str]


class KeyView(Body):
    """An API key of the service; its secret is never shown again."""

    id: str
    name: str
    scopes: list[str]
    expires_at: AwareDatetime | None
    created_at: AwareDatetime
    revoked: bool


class Change(Body):
    """A change that a person asks for. ``revision`` is that of the state they saw."""

    reason: str = Field(min_length=3, max_length=500)
    revision: int | None = None


class Launch(Change):
    """A job to run."""

    job: str
    partition: str | None = None


class NewLabel(Body):
    """What a person says an image shows."""

    prediction_id: str
    label: str


class NewKey(Change):
    """An API key to make."""

    name: str = Field(min_length=1, max_length=100)
    scopes: list[Literal["predict", "explain", "feedback", "admin"]]
    days: int = Field(90, ge=1, le=3650)


class MadeKey(Body):
    """A new key; ``secret`` is shown once."""

    key: KeyView
    secret: str


class Done(Body):
    """A change has been made; ``replayed``: it had been made before, under the same key."""

    message: str
    replayed: bool = False


class Login(Body):
    """Name and password of a local user."""

    name: str
    password: str


class Explanation(Body):
    """Why a model answered what it did: ``heat`` is 0 to 1, row by row over the whole image."""

    method: str
    label: str
    model: str
    seconds: float
    heat: list[list[float]]
