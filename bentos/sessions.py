"""ONNX Runtime sessions, and which of two forms of a program is faster here."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime

from bentos.openvino_session import INSTALL, OpenVinoSession, is_installed
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import ModelCard

logger = logging.getLogger("bentos.sessions")
BATCHES: Final = (1, 2, 4, 8, 16, 32)
ROUNDS: Final = 5
LONE_ROUNDS: Final = 20
WORTH: Final = 0.85


class ModelRefused(PlatformError):
    """A model folder is incomplete, altered, or does not compute what it did at export."""


def open_session(program: Path, threads: int, *, spin: bool = False) -> Any:
    """An ONNX Runtime CPU session with ``threads`` intra-op threads.

    Threads that ``spin`` wait for their next part within a run without sleeping: faster for a lone
    run, but they take the CPU that decoding and HTTP need when there is more to do. They sleep
    between runs, where spinning would cost ten times the CPU of the runs themselves.

    Raises:
        ModelRefused: ONNX Runtime can not load the program.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(
            str(program), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelRefused(f"{program} does not load: {error}") from error


def open_engine(card: ModelCard, program: Path, threads: int, *, spin: bool = False) -> Any:
    """A session of the engine and the precision that the card states; as ``open_session``.

    Where OpenVINO is missing ONNX Runtime computes the same program. It has no bf16, so a model
    of that precision is refused.

    Raises:
        ModelRefused: see ``open_session``; or bf16 without OpenVINO.
    """
    if card.engine == "onnxruntime":
        return open_session(program, threads, spin=spin)
    if not is_installed():
        if card.precision == "bf16":
            raise ModelRefused(f"{program} is to run in bf16, which needs OpenVINO: {INSTALL}")
        logger.warning("OpenVINO was picked for %s but is not installed (%s): ONNX Runtime runs it",
                       card.version, INSTALL)
        return open_session(program, threads, spin=spin)
    try:
        return OpenVinoSession(program, threads, card.precision)
    except RuntimeError as error:
        raise ModelRefused(f"{program} does not load: {error}") from error


def warm(session: Any, shape: tuple[int, ...]) -> None:
    """Run every size of ``BATCHES`` of uint8 images ``shape`` once."""
    for size in BATCHES:
        session.run(None, {"images": np.zeros((size, *shape), np.uint8)})


def fastest(sessions: Sequence[Any], shape: tuple[int, ...]) -> list[Any]:
    """The quickest session for each batch size, by index; the last is for all that are larger.

    Each size of ``BATCHES`` is timed, sessions in turn, and the best of ``ROUNDS`` counts, so
    that other work on the machine favours none. A size between two takes the choice of the next.
    """
    chosen: list[Any] = []
    for size in BATCHES:
        best = best_seconds(sessions, size, shape, rounds=1 if len(sessions) == 1 else ROUNDS)
        winner = sessions[best.index(min(best))]
        chosen += [winner] * (size + 1 - len(chosen))
    return chosen


def best_seconds(
    sessions: Sequence[Any], size: int, shape: tuple[int, ...], *, rounds: int
) -> list[float]:
    """Least seconds of a run of ``size`` uint8 images ``shape`` in each session, in turn."""
    images = {"images": np.zeros((size, *shape), np.uint8)}
    best = [math.inf] * len(sessions)
    for _ in range(rounds):
        for number, session in enumerate(sessions):
            started = time.perf_counter()
            session.run(None, images)
            best[number] = min(best[number], time.perf_counter() - started)
    return best


def worth_its_threads(several: Any, one: Any, shape: tuple[int, ...]) -> bool:
    """Whether more threads make a lone image so much faster that their CPU is well spent."""
    fast, plain = best_seconds([several, one], 1, shape, rounds=LONE_ROUNDS)
    return fast < WORTH * plain
