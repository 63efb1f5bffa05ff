"""The state of serving: which model version answers in which slot."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

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
