"""Checkpoints of a training: written whole or not at all."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resources.durable import write_bytes

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State after an epoch, or after ``step`` batches of the next one.

    Order and augmentation need none, see ``batches``. ``losses`` are the sums of the unfinished
    epoch, one of each process.
    """

    history: list[dict[str, Any]]
    network: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]
    step: int = 0
    losses: list[Tensor] = field(default_factory=list)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in ``folder``, atomically."""
    buffer = io.BytesIO()
    torch.save({each.name: getattr(checkpoint, each.name) for each in fields(checkpoint)}, buffer)
    write_bytes(folder / CHECKPOINT_FILE, buffer.getvalue())


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in ``folder``, or None when there is none."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
