"""Answers, and the images that a label would help."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from ui.server.schemas.basics import Body


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
    """Newest first. ``total`` counts those that match, of the latest ``held`` in memory."""

    rows: list[PredictionRow]
    total: int
    held: int
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


class Explanation(Body):
    """Why a model answered what it did: ``heat`` is 0 to 1, row by row over the whole image."""

    method: str
    label: str
    model: str
    seconds: float
    heat: list[list[float]]
