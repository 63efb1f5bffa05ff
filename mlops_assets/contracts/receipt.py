"""A receipt: for one answer, the names of everything that it came from."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from mlops_assets.contracts.model_card import ModelCard, ModelOrigin
from mlops_assets.contracts.prediction import Answer, PredictionRecord


class Proof(BaseModel):
    """The audit path of leaf ``index`` in a tree of ``size`` leaves: see ``provenance.merkle``.

    The leaf is the canonical JSON of ``row``; the tree's root is ``origin.dataset``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: dict[str, str]
    index: int
    size: int
    path: list[str]


class Neighbour(BaseModel):
    """A training image that the model finds like the one it answered.

    ``distance`` is Euclidean, between embeddings. ``proof`` is None where the dataset can not be
    read; ``mlops lineage`` has it then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_id: str
    label: str
    distance: float
    proof: Proof | None


class Receipt(BaseModel):
    """Each hash names bytes that ``mlops verify`` can check.

    ``record_sha256`` is the hash of the journal's line, which the line after it names.

    ``weight`` is the share of traffic that the slot had, ``step`` and ``revision`` the state of
    serving, when the request was routed. ``origin.dataset`` is the Merkle root of the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction_id: str
    at: AwareDatetime
    record_sha256: str
    image_sha256: str
    answer: Answer
    bento_tag: str
    program_sha256: str
    weight: float
    step: str
    revision: int
    cached: bool
    origin: ModelOrigin
    nearest: list[Neighbour]

    @staticmethod
    def of(
        record: PredictionRecord, record_sha256: str, card: ModelCard, nearest: list[Neighbour]
    ) -> Receipt:
        """The receipt of a journaled answer of the model with this card.

        Raises:
            ValueError: the card is of another program.
        """
        answer = record.answer
        if answer.model.sha256 != card.program_sha256:
            raise ValueError(f"{answer.prediction_id} was answered by another program")
        return Receipt(
            prediction_id=answer.prediction_id, at=record.at, record_sha256=record_sha256,
            image_sha256=record.image_sha256, answer=answer, bento_tag=record.bento_tag,
            program_sha256=card.program_sha256, weight=record.weight, step=record.step,
            revision=record.revision,
            cached=record.cached, origin=card.origin, nearest=nearest,
        )
