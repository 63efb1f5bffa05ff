"""What travels with an exported model: enough to serve it and to say where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.contracts.backends import GOLDEN_TOLERANCE, Engine, Pick, Precision
from mlops_assets.contracts.pixels import PixelSpec

CARD_FILE = "model_card.json"
PROGRAM_FILE = "model.onnx"
REFERENCE_FILE = "reference.npz"
GOLDEN_FILE = "golden.npz"
EXPLAIN_FILE = "explain.onnx"
BATCHED_FILE = "batched.onnx"
INT8_FILE = "int8.onnx"

# How a service explains an answer: by the program beside, or by covering parts of the image.
Explain = Literal["gradcam", "occlusion"]


class ModelOrigin(BaseModel):
    """The versions (content hashes) and runs that a model came from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    training_shards: str
    trained_model: str
    code_commit: str
    config_sha256: str
    lock_sha256: str
    mlflow_run_id: str
    dagster_run_id: str


class ModelCard(BaseModel):
    """Card of one exported program.

    The program takes ``images``: uint8 ``[N, height, width, channels]`` and gives
    ``probabilities``: float32 ``[N, len(classes)]`` and ``embedding``: float32
    ``[N, embedding_size]``. ``program_sha256`` is the SHA-256 of the program file.

    With ``batched_sha256`` there is a second form of it, with the same inputs and outputs, which
    may be faster over several images at once and differs by rounding only. With ``int8_sha256``
    there is a quantized form, which answers otherwise.

    With ``explain: gradcam`` there is another program, of ``explain_sha256``. It takes one image
    and ``target``: int64 ``[1]``, and gives ``heat``: float32 ``[1, rows, columns]``, not
    negative.

    ``precision``, ``engine`` and ``golden_tolerance`` say how a bento computes: see ``as_served``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    architecture: str
    classes: list[str] = Field(min_length=2)
    pixels: PixelSpec
    embedding_size: int = Field(gt=0)
    precision: Precision = "fp32"
    engine: Engine = "onnxruntime"
    golden_tolerance: float = Field(GOLDEN_TOLERANCE, gt=0)
    program_sha256: str
    batched_sha256: str | None = None
    int8_sha256: str | None = None
    max_parity_error: float
    explain: Explain = "occlusion"
    explain_sha256: str | None = None
    metrics: dict[str, float]
    origin: ModelOrigin

    @model_validator(mode="after")
    def _names_its_program(self) -> ModelCard:
        if (self.explain == "gradcam") != (self.explain_sha256 is not None):
            raise ValueError("explain_sha256 is set exactly with `explain: gradcam`")
        return self

    @property
    def programs(self) -> dict[str, str]:
        """File name to SHA-256 of every program that belongs to the model."""
        named = {PROGRAM_FILE: self.program_sha256, BATCHED_FILE: self.batched_sha256,
                 INT8_FILE: self.int8_sha256, EXPLAIN_FILE: self.explain_sha256}
        return {name: sha256 for name, sha256 in named.items() if sha256 is not None}

    @property
    def computation(self) -> str:
        """What an answer depends on besides the image: the program, and a reduced precision."""
        reduced = "" if self.precision == "fp32" else f"-{self.precision}"
        return f"{self.program_sha256}{reduced}"

    def as_served(self, pick: Pick) -> ModelCard:
        """The card of the one program that a pick runs, with that program's own SHA-256.

        A quantized program explains itself by occlusion: the gradient program is of fp32.
        """
        batched = pick.engine == "onnxruntime" and pick.precision == "fp32"
        changes: dict[str, object] = {
            "precision": pick.precision, "engine": pick.engine, "int8_sha256": None,
            "golden_tolerance": pick.golden_tolerance,
            "program_sha256": self.programs[pick.program],
            "batched_sha256": self.batched_sha256 if batched else None,
        }
        if pick.program != PROGRAM_FILE:
            changes |= {"explain": "occlusion", "explain_sha256": None}
        return ModelCard.model_validate(self.model_dump() | changes)


def read_card(folder: Path) -> ModelCard:
    """The card in a model's folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a card.
    """
    return ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
