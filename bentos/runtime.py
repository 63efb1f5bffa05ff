"""One exported program, checked against its card, warm and ready to compute."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import CARD_FILE, GOLDEN_FILE, PROGRAM_FILE, ModelCard
from mlops_assets.provenance.hashing import sha256_file

GOLDEN_TOLERANCE: Final = 1e-3
WARM_BATCHES: Final = (1, 2, 4, 8, 16, 32)
CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
CFS_QUOTA: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
CFS_PERIOD: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")

Floats = NDArray[np.float32]


class ModelRefused(PlatformError):
    """A model folder is incomplete, altered, or does not compute what it did at export."""


def cpu_quota() -> int:
    """Whole CPUs this process may use: the lesser of its affinity and its cgroup quota."""
    usable = len(os.sched_getaffinity(0))
    try:
        if CPU_MAX.exists():
            quota, period = CPU_MAX.read_text().split()
        else:
            quota, period = CFS_QUOTA.read_text().strip(), CFS_PERIOD.read_text().strip()
    except FileNotFoundError:
        return usable
    if quota in ("max", "-1"):
        return usable
    return max(1, min(usable, math.ceil(int(quota) / int(period))))


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder whose program has the SHA-256 that the card names.

    Raises:
        ModelRefused: no card, a malformed one, or another program than the card's.
    """
    try:
        card = ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
        found = sha256_file(folder / PROGRAM_FILE)
    except FileNotFoundError as error:
        raise ModelRefused(f"no model in {folder}: {error.filename} is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelRefused(f"{folder / CARD_FILE}: `{where}` {first['msg']}") from error
    if found != card.program_sha256:
        raise ModelRefused(
            f"{folder / PROGRAM_FILE} has SHA-256 {found}, its card says {card.program_sha256}"
        )
    return card


def open_session(program: Path, threads: int, *, spin: bool = False) -> Any:
    """An ONNX Runtime CPU session with ``threads`` intra-op threads.

    Threads that ``spin`` wait for their next part without sleeping: faster for a lone run, but
    they take the CPU that decoding and HTTP need when there is more to do.

    Raises:
        ModelRefused: ONNX Runtime can not load the program.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    try:
        return onnxruntime.InferenceSession(
            str(program), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelRefused(f"{program} does not load: {error}") from error


class Runtime:
    """A loaded program. Several threads may call ``predict`` at once."""

    def __init__(self, folder: Path, *, threads: int = 0, lone_threads: int = 0) -> None:
        """Load, warm and check the model in ``folder``; ``threads`` 0 means the CPU quota.

        A run that is alone uses ``lone_threads``, if they are several, which spin.

        Raises:
            ModelRefused: see ``read_card``, ``open_session`` and ``check_golden``.
        """
        self.card: Final = read_card(folder)
        self.folder: Final = folder
        self.threads: Final = threads or cpu_quota()
        self._session = open_session(folder / PROGRAM_FILE, self.threads)
        self._lone = self._session
        if lone_threads > 1:
            self._lone = open_session(folder / PROGRAM_FILE, lone_threads, spin=True)
        for size in WARM_BATCHES:
            for alone in (False, True):
                self._compute(np.zeros((size, *self.card.pixels.shape), np.uint8), alone)
        self.golden_error: Final = max(self.check_golden(folder, alone=alone)
                                       for alone in (False, True))

    def predict(
        self, images: NDArray[np.uint8], *, alone: bool = False
    ) -> tuple[Floats, Floats]:
        """Probabilities float32 ``[N, classes]`` and embedding float32 ``[N, embedding_size]``.

        ``images`` is uint8 ``[N, height, width, channels]`` of the card's shape. ``alone``: no
        other run goes on beside it.

        Raises:
            ValueError: another shape or type.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.card.pixels.shape:
            raise ValueError(
                f"images are {images.dtype} {images.shape[1:]}; the program takes uint8 "
                f"{self.card.pixels.shape}"
            )
        return self._compute(images, alone)

    def _compute(self, images: NDArray[np.uint8], alone: bool) -> tuple[Floats, Floats]:
        session = self._lone if alone else self._session
        try:
            probabilities, embedding = session.run(
                ["probabilities", "embedding"], {"images": images}
            )
        except Exception as error:
            # ONNX Runtime raises its own bare exception types, one a status code.
            raise ModelRefused(f"the program of {self.card.version} fails: {error}") from error
        rows = len(images)
        if probabilities.shape != (rows, len(self.card.classes)) or embedding.shape != (
            rows,
            self.card.embedding_size,
        ):
            raise ModelRefused(
                f"the program of {self.card.version} gives {probabilities.shape} and "
                f"{embedding.shape}; its card says {len(self.card.classes)} classes and "
                f"{self.card.embedding_size} features"
            )
        return probabilities, embedding

    def check_golden(self, folder: Path, *, alone: bool = False) -> float:
        """Largest difference between these probabilities and those recorded at export.

        Raises:
            ModelRefused: no golden file, or a difference of ``GOLDEN_TOLERANCE`` or more.
        """
        path = folder / GOLDEN_FILE
        try:
            with np.load(path, allow_pickle=False) as golden:
                images, expected = golden["images"], golden["probabilities"]
            found, _ = self.predict(images, alone=alone)
            worst = float(np.abs(found - expected).max())
        except (OSError, KeyError, ValueError) as error:
            raise ModelRefused(f"golden check of {path} can not run: {error}") from error
        if not worst < GOLDEN_TOLERANCE:
            raise ModelRefused(
                f"golden check of {path} failed: probabilities differ by {worst:.3g}, "
                f"allowed is less than {GOLDEN_TOLERANCE:g}"
            )
        return worst
