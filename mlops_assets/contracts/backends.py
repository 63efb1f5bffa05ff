"""Which backends there are to run a model, and the one that a release has picked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

BACKENDS_FILE: Final = "backends.json"  # in `backend_comparison`

BackendName = Literal[
    "onnxruntime", "onnxruntime-batched", "onnxruntime-int8",
    "openvino", "openvino-bf16", "openvino-int8",
    "torch", "aotinductor", "onnxruntime-cuda", "onnxruntime-tensorrt",
]
Engine = Literal["onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16", "int8"]

GOLDEN_TOLERANCE: Final = 1e-3


class Pick(BaseModel):
    """How a bento computes. ``program`` is the file of the exported model that it runs.

    ``golden_tolerance`` is the largest difference from the golden probabilities with which a
    service takes the model. ``requirements`` are pinned packages that the engine needs besides
    those of every service. Nothing here is a time: an equal pick gives an equal bento.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: BackendName
    engine: Engine
    precision: Precision
    program: str
    golden_tolerance: float = Field(GOLDEN_TOLERANCE, gt=0)
    requirements: tuple[str, ...] = ()


def read_pick(folder: Path) -> Pick:
    """The pick of a ``backend_comparison`` folder.

    Raises:
        FileNotFoundError: there is no comparison.
        ValueError: it is damaged.
    """
    return Pick.model_validate(json.loads((folder / BACKENDS_FILE).read_bytes())["picked"])
