"""The state of serving: which model version answers in which slot."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.prediction import Slot

Step = Literal["idle", "shadow", "canary-1", "canary-10", "canary-50", "held"]
# The steps at which a newer model is judged, in order.
LADDER: Final[tuple[Step, ...]] = ("shadow", "canary-1", "canary-10", "canary-50")


class SlotAssignment(BaseModel):
    """One model version in one slot; ``weight`` is its share of answered traffic, 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_version: str
    bento_tag: str
    weight: float = Field(ge=0, le=1)


class RolloutState(BaseModel):
    """What serves now. ``revision`` grows by one with every change, for optimistic locking."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    revision: int = Field(ge=0)
    step: Step = "idle"
    slots: dict[Slot, SlotAssignment] = Field(default_factory=dict)
    previous_champion: SlotAssignment | None = None
    changed_at: AwareDatetime | None = None
    reason: str = ""


def read_state(path: Path) -> RolloutState:
    """The state of serving in a file, such as ``serving/state.json``.

    Raises:
        PlatformError: it is damaged, or not there.
    """
    try:
        return RolloutState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise PlatformError(
            f"{path} is not a state of serving; materialize `rollout` again"
        ) from error


def served_version(path: Path) -> str | None:
    """Version of the champion in ``serving/state.json``; None before the first.

    Raises:
        PlatformError: the file is damaged.
    """
    return read_state(path).slots["champion"].model_version if path.is_file() else None
