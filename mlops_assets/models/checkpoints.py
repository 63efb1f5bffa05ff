"""Checkpoints of a training: written whole or not at all."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from resources.durable import write_bytes

CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State at the end of an epoch; order and augmentation need none, see ``batches``."""

    history: list[dict[str, Any]]
    network: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in ``folder``, atomically."""
    buffer = io.BytesIO()
    torch.save(asdict(checkpoint), buffer)
    write_bytes(folder / CHECKPOINT_FILE, buffer.getvalue())


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """The checkpoint in ``folder``, or None when there is none."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
