"""What every backend is: a name, a precision, whether it is there, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.backends import BackendName, Engine, Precision
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.models.programs import Outputs


class Unable(PlatformError):
    """A backend can not run this model: it lacks an operation, or takes its shapes otherwise."""


# Images uint8 [N, H, W, C] to probabilities float32 [N, K] and embedding float32 [N, E].
Run = Callable[[NDArray[np.uint8]], Outputs]


@dataclass(frozen=True, slots=True)
class Sources:
    """Folders of an exported and of its trained model, one for scratch, and threads to use."""

    exported: Path
    trained: Path
    scratch: Path
    threads: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A backend that is ready; ``size`` is that of what it loaded, in bytes."""

    run: Run
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One way to run a model.

    ``missing`` says why it can not run here, or gives None; ``load`` raises ``Unable`` or a
    ``RuntimeError`` where it can not run this model. ``engine`` is what the service calls
    it, None where the service does not carry it; ``program`` is the file that it runs then.
    ``packages`` are what a service needs besides its own.
    """

    name: BackendName
    precision: Precision
    missing: Callable[[Sources], str | None]
    load: Callable[[Sources], Loaded]
    engine: Engine | None = None
    program: str | None = None
    packages: tuple[str, ...] = ()
