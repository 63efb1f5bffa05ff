"""What a person may do to the state of serving, from the command line or the console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

from mlops_assets.config import Settings
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.serving import states
from mlops_assets.serving.effect import change
from resources.mlflow import Tracking
from resources.platform_db import ConflictingChange

Action = Literal["promote", "advance", "hold", "rollback"]

CHANGES: Final[Mapping[Action, Callable[..., RolloutState]]] = {
    "promote": states.promote, "advance": states.advance, "hold": states.hold,
    "rollback": states.roll_back,
}


def allowed(state: RolloutState) -> list[Action]:
    """What may be done to a state."""
    newer = "challenger" in state.slots or "shadow" in state.slots
    found: list[Action] = ["promote", "advance"] if newer else []
    if newer and state.step != "held":
        found.append("hold")
    if newer or state.previous_champion is not None:
        found.append("rollback")
    return found


def operate(
    settings: Settings, action: Action, reason: str, *, actor: str, details: dict[str, Any],
    seen: int | None = None,
) -> RolloutState:
    """Change what serves, and tell the service and the registry.

    ``seen`` is the revision that the person looked at; another one by now is refused.

    Raises:
        ImpossibleChange, ConflictingChange, MlflowError: nothing has changed.
    """
    tracking = Tracking(settings.home, settings.release.experiment)
    # A registry that can not be reached is known before anything changes, not halfway.
    tracking.client()

    def how(present: RolloutState, now: datetime) -> RolloutState:
        if seen is not None and present.revision != seen:
            raise ConflictingChange(
                f"the state of serving is at revision {present.revision} now, and you saw "
                f"{seen}; look at it again and repeat the change")
        return CHANGES[action](present, reason=reason, now=now)

    return change(settings.home, tracking, settings.release.model_name, how,
                  actor=actor, action=action, details=details)
