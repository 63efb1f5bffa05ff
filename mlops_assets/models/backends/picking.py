"""Which backend serves: the fastest of those that may, and why the others do not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mlops_assets.contracts.backends import (
    GOLDEN_TOLERANCE,
    BackendName,
    Engine,
    Pick,
    Precision,
)
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.models.backends.speed import Speed
from mlops_assets.models.gate import GateReport

Allowed = Literal["exact", "reduced"]
# Within this share of the fastest the first in the list is taken: measured again, it stays.
TIE: Final = 0.05


class NoBackend(PlatformError):
    """None of the backends that were compared may serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A backend, and what was found of it; all but ``missing`` is unset where it can not run.

    ``error`` is the largest difference of a probability from torch eager over ``rows`` held-out
    images, ``same`` the share of equal labels. ``gate`` is the verdict on reduced precision.
    ``size`` is in bytes, ``load_seconds`` includes compiling.
    """

    name: BackendName
    precision: Precision
    engine: Engine | None = None
    program: str | None = None
    missing: str | None = None
    error: float = math.nan
    same: float = math.nan
    rows: int = 0
    size: int = 0
    load_seconds: float = math.nan
    speed: Speed | None = None
    gate: GateReport | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend that serves, why, and for every other one what speaks against it."""

    picked: Measured
    reason: str
    verdicts: Mapping[BackendName, str]


def refuse(found: Measured, *, allowed: Allowed, max_error: float) -> str | None:
    """Why a backend may not serve, or None."""
    if found.missing is not None:
        return found.missing
    if found.engine is None:
        return "compared only: the service does not carry it"
    if found.precision == "fp32":
        within = found.error <= max_error
        return None if within else f"differs by {found.error:.2g}; the limit is {max_error:g}"
    if allowed == "exact":
        return f"{found.precision} is not allowed; see `release.precision`"
    if found.gate is None:
        return "no verdict of the gate"
    return None if found.gate.passed else f"refused by the gate: {found.gate.reason}"


def choose(every: Sequence[Measured], *, allowed: Allowed, max_error: float) -> Choice:
    """Pick the fastest over batches; of those within ``TIE`` of it, the first.

    Args:
        every: in the order of the settings.
        allowed: ``exact`` lets only fp32 serve; ``reduced`` also what passed the gate.
        max_error: the largest difference from torch eager that fp32 may have.

    Raises:
        NoBackend: none may serve, with the reason of each.
    """
    against = {each.name: refuse(each, allowed=allowed, max_error=max_error) for each in every}
    may = [(each, each.speed.images_per_second) for each in every
           if against[each.name] is None and each.speed is not None]
    if not may:
        told = "; ".join(f"{name}: {reason}" for name, reason in against.items())
        raise NoBackend(f"no backend of `export.backends` may serve: {told}")
    best = max(rate for _, rate in may)
    picked, rate = next((each, rate) for each, rate in may if rate >= (1 - TIE) * best)
    verdicts = {name: reason for name, reason in against.items() if reason is not None}
    slower = {
        each.name: f"slower: {speed / rate:.2f} of the picked" if speed < rate
        else f"no faster within {TIE:.0%}, and later in the list" for each, speed in may
    }
    reason = (f"it computes the most images in batches, {rate:,.0f} a second, of {len(may)} "
              f"backends that may serve (precision: {allowed}); within {TIE:.0%} the first in the "
              "list wins")
    return Choice(picked, reason, {**verdicts, **slower, picked.name: "picked"})


def to_pick(picked: Measured, requirements: Sequence[str]) -> Pick:
    """What travels with the bento.

    Of reduced precision a service takes twice the largest difference that was found, rounded up,
    as another processor rounds otherwise.

    Raises:
        NoBackend: the service does not run this backend.
    """
    if picked.engine is None or picked.program is None:
        raise NoBackend(f"the service does not run {picked.name}")
    tolerance = GOLDEN_TOLERANCE
    if picked.precision != "fp32":
        tolerance = max(0.01, math.ceil(200 * picked.error) / 100)
    return Pick(backend=picked.name, engine=picked.engine, precision=picked.precision,
                program=picked.program, golden_tolerance=tolerance,
                requirements=tuple(requirements))
