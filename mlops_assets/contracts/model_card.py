"""What travels with an exported model: enough to serve it and to say where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.contracts.pixels import PixelSpec

CARD_FILE = "model_card.json"
PROGRAM_FILE = "model.onnx"
REFERENCE_FILE = "reference.npz"
GOLDEN_FILE = "golden.npz"


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    architecture: str
    classes: list[str] = Field(min_length=2)
    pixels: PixelSpec
    embedding_size: int = Field(gt=0)
    precision: Literal["fp32"] = "fp32"
    program_sha256: str
    max_parity_error: float
    metrics: dict[str, float]
    origin: ModelOrigin


def read_card(folder: Path) -> ModelCard:
    """The card in a model's folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a card.
    """
    return ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
