"""One exported program, checked against its card, warm and ready to compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bentos.cpus import cpu_quota
from bentos.sessions import (
    ModelRefused,
    fastest,
    open_engine,
    open_session,
    warm,
    worth_its_threads,
)
from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    GOLDEN_FILE,
    PROGRAM_FILE,
    ModelCard,
)
from mlops_assets.provenance.hashing import sha256_file

RUN_FILES: Final = (PROGRAM_FILE, BATCHED_FILE)
# More images than this keep all cores busy without spinning.
MAX_LONE: Final = 4

Floats = NDArray[np.float32]


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder whose programs have the SHA-256s that the card names.

    Raises:
        ModelRefused: no card, a malformed one, or other programs than the card's.
    """
    try:
        card = ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
        named = {name: card.programs[name] for name in RUN_FILES if name in card.programs}
        found = {name: sha256_file(folder / name) for name in named}
    except FileNotFoundError as error:
        raise ModelRefused(f"no model in {folder}: {error.filename} is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelRefused(f"{folder / CARD_FILE}: `{where}` {first['msg']}") from error
    for name, sha256 in named.items():
        if found[name] != sha256:
            raise ModelRefused(
                f"{folder / name} has SHA-256 {found[name]}, its card says {sha256}")
    return card


class Runtime:
    """A loaded program. Several threads may call ``predict`` at once."""

    def __init__(
        self, folder: Path, *, threads: int = 0, lone_threads: int = 0,
        deterministic: bool = False,
    ) -> None:
        """Load, warm and check the model in ``folder``; ``threads`` 0 means the CPU quota.

        A run that is alone uses ``lone_threads``, where they are clearly faster. Where the
        model has a form for batches, each batch size runs the form that was faster here. So the
        last bits of an answer depend on its batch-mates and on this machine's timing, unless it
        is ``deterministic``: then each image has a run of its own, in the plain form, by one
        thread.

        Raises:
            ModelRefused: see ``read_card``, ``open_session`` and ``check_golden``.
        """
        self.card: Final = read_card(folder)
        self.folder: Final = folder
        self.threads: Final = 1 if deterministic else threads or cpu_quota()
        self.deterministic: Final = deterministic
        plain = open_engine(self.card, folder / PROGRAM_FILE, self.threads)
        self._forms: Final = [plain]
        if self.card.batched_sha256 is not None and not deterministic:
            self._forms.append(open_session(folder / BATCHED_FILE, self.threads))
        self._lone = plain
        if lone_threads > 1 and not deterministic:
            several = open_engine(self.card, folder / PROGRAM_FILE, lone_threads, spin=True)
            if worth_its_threads(several, plain, self.card.pixels.shape):
                self._lone = several
        self.golden_error: Final = max(
            self.check_golden(folder, session) for session in {*self._forms, self._lone})
        self._fastest: Final = fastest(self._forms, self.card.pixels.shape)
        warm(self._lone, self.card.pixels.shape)

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
        rows = len(images)
        if self.deterministic and rows > 1:
            parts = [self._compute(self._lone, images[at : at + 1]) for at in range(rows)]
            return (np.concatenate([part[0] for part in parts]),
                    np.concatenate([part[1] for part in parts]))
        if alone and rows <= MAX_LONE:
            return self._compute(self._lone, images)
        return self._compute(self._fastest[min(rows, len(self._fastest) - 1)], images)

    def _compute(self, session: Any, images: NDArray[np.uint8]) -> tuple[Floats, Floats]:
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

    def check_golden(self, folder: Path, session: Any) -> float:
        """Largest difference between what a session gives and the probabilities recorded at export.

        Raises:
            ModelRefused: no golden file, or a difference of the card's tolerance or more.
        """
        path = folder / GOLDEN_FILE
        try:
            with np.load(path, allow_pickle=False) as golden:
                images, expected = golden["images"], golden["probabilities"]
            found, _ = self._compute(session, images)
            worst = float(np.abs(found - expected).max())
        except (OSError, KeyError, ValueError) as error:
            raise ModelRefused(f"golden check of {path} can not run: {error}") from error
        if not worst < self.card.golden_tolerance:
            raise ModelRefused(
                f"golden check of {path} failed: probabilities differ by {worst:.3g}, "
                f"allowed is less than {self.card.golden_tolerance:g}"
            )
        return worst
