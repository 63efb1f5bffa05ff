"""Models and their evaluations."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from ui.server.schemas.basics import Body


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
    mlflow_url: str


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
    dagster_url: str
    classes: list[str]
    confusion: list[list[int]] = Field(description="rows: truth, columns: answer")
    scores: list[ClassScore]
    reliability: list[ReliabilityBin]
    slices: list[GateSlice]
    history: list[Epoch]
