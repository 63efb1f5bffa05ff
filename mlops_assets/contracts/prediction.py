"""What the service answers and what it keeps of each answer."""

from __future__ import annotations

import base64
import secrets
import struct
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

Slot = Literal["champion", "challenger", "shadow"]


def _unpack(value: object) -> object:
    """Base64 of little-endian float32 values to numbers; anything else is left to pydantic."""
    if not isinstance(value, str):
        return value
    content = base64.b64decode(value, validate=True)
    return list(struct.unpack(f"<{len(content) // 4}f", content))


def _pack(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


# As JSON numbers, 512 features would be most of a record's bytes and of its cost.
Vector = Annotated[list[float], BeforeValidator(_unpack), PlainSerializer(_pack, when_used="json")]


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

    ``embedding`` is the model's penultimate layer: float32, in JSON as base64 of its
    little-endian bytes. ``pixel_mean`` to ``sharpness`` are ``contracts.image_statistics`` of the
    decoded pixels. ``weight``, ``step`` and ``revision`` are those of the state of serving that
    routed the request; ``caller`` is who asked. ``cached``: it came from the answer cache.
    ``novelty`` is the squared distance of the embedding from the reference, divided by the 99.9 %
    quantile of held-out images: above 1 the image is unlike what the model was tested on.
    A record with ``shadow_of`` answered nobody: it is what the shadow model would have said.
    ``source`` names the message of a stream that was answered, so that it is answered once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["prediction"] = "prediction"
    answer: Answer
    at: AwareDatetime
    image_sha256: str
    bento_tag: str
    embedding: Vector
    pixel_mean: float
    pixel_std: float
    roughness: float | None = None
    flatness: float | None = None
    faintness: float | None = None
    sharpness: float | None = None
    weight: float = Field(1.0, ge=0, le=1)
    step: str = "idle"
    revision: int = 0
    caller: str = "anonymous"
    cached: bool = False
    novelty: float | None = None
    image_kept: bool = False
    shadow_of: str | None = None
    source: str | None = None


class FeedbackRecord(BaseModel):
    """A label that arrived later for one prediction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["feedback"] = "feedback"
    prediction_id: str
    label: str
    at: AwareDatetime


class FailureRecord(BaseModel):
    """A request that a model in some slot could not answer, through no fault of the image.

    ``problem`` is a word for what happened; ``revision`` is that of the state that routed it.
    ``count`` requests of about the same moment had it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["failure"] = "failure"
    at: AwareDatetime
    slot: Slot
    model_version: str
    revision: int
    problem: str
    count: int = Field(1, gt=0)


def new_prediction_id(now: datetime | None = None) -> str:
    """A 32-character hex id, unique, sorting by creation time (milliseconds, then random)."""
    return new_prediction_ids(1, now)[0]


def new_prediction_ids(count: int, now: datetime | None = None) -> list[str]:
    """``count`` ids of one moment, from one read of the system's random numbers."""
    moment = time.time() if now is None else now.astimezone(UTC).timestamp()
    prefix, random = f"{int(moment * 1000):012x}", secrets.token_hex(10 * count)
    return [prefix + random[start : start + 20] for start in range(0, len(random), 20)]
