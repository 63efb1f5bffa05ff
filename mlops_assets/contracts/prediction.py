"""What the service answers and what it keeps of each answer."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Slot = Literal["champion", "challenger", "shadow"]


class AnsweringModel(BaseModel):
    """The model that computed an answer. ``sha256`` is the exported program's content hash."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    sha256: str
    slot: Slot


class Answer(BaseModel):
    """Body of a 200 from ``/v1/predict``. ``probabilities`` maps each class to its share of 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction_id: str
    label: str
    confidence: float = Field(ge=0, le=1)
    probabilities: dict[str, float]
    model: AnsweringModel
    latency_ms: float = Field(ge=0)


class PredictionRecord(BaseModel):
    """One journal record: the answer, what it was computed from, and what drift reports read.

    ``embedding`` is the model's penultimate layer (float32). ``pixel_mean`` and ``pixel_std``
    are over the decoded pixels, in units of 0-255.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["prediction"] = "prediction"
    answer: Answer
    at: AwareDatetime
    image_sha256: str
    bento_tag: str
    embedding: list[float]
    pixel_mean: float
    pixel_std: float


class FeedbackRecord(BaseModel):
    """A label that arrived later for one prediction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["feedback"] = "feedback"
    prediction_id: str
    label: str
    at: AwareDatetime


def new_prediction_id(now: datetime | None = None) -> str:
    """A 32-character hex id, unique, sorting by creation time (milliseconds, then random)."""
    moment = time.time() if now is None else now.astimezone(UTC).timestamp()
    return f"{int(moment * 1000):012x}{secrets.token_hex(10)}"
