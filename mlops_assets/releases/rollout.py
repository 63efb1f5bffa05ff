"""Changes of the state of serving, as pure functions of the state."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from mlops_assets.provenance.hashing import canonical_json
from resources.durable import write_bytes


class ImpossibleChange(PlatformError):
    """The state of serving does not allow this change."""


def _next(state: RolloutState, now: datetime, reason: str, **changes: object) -> RolloutState:
    return RolloutState.model_validate({
        **state.model_dump(), "revision": state.revision + 1, "changed_at": now,
        "reason": reason, **changes,
    })


def release(
    state: RolloutState, bento_tag: str, model_version: str, *, now: datetime
) -> RolloutState:
    """A new bento arrives: the first serves at once, a later one waits as `challenger`.

    A bento that already has a slot changes nothing; the same state comes back.
    """
    if any(slot.bento_tag == bento_tag for slot in state.slots.values()):
        return state
    new = SlotAssignment(model_version=model_version, bento_tag=bento_tag, weight=1.0)
    if "champion" not in state.slots:
        return _next(state, now, f"first model {bento_tag}", slots={"champion": new})
    waiting = new.model_copy(update={"weight": 0.0})
    return _next(state, now, f"{bento_tag} passed the gate", step="held",
                 slots={**state.slots, "challenger": waiting})


def promote(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """The challenger becomes champion.

    Raises:
        ImpossibleChange: there is no challenger.
    """
    challenger = state.slots.get("challenger")
    if challenger is None:
        raise ImpossibleChange("there is no challenger to promote; see `mlops rollout status`")
    champion = challenger.model_copy(update={"weight": 1.0})
    return _next(state, now, reason, step="idle", slots={"champion": champion},
                 previous_champion=state.slots.get("champion"))


def hold(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """The challenger gets no traffic until a person says so.

    Raises:
        ImpossibleChange: there is no challenger.
    """
    if "challenger" not in state.slots:
        raise ImpossibleChange("there is no challenger to hold; see `mlops rollout status`")
    waiting = state.slots["challenger"].model_copy(update={"weight": 0.0})
    return _next(state, now, reason, step="held",
                 slots={**state.slots, "challenger": waiting})


def roll_back(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """The challenger goes; without one, the previous champion serves again.

    Raises:
        ImpossibleChange: there is neither.
    """
    slots = dict(state.slots)
    if slots.pop("challenger", None) is not None:
        return _next(state, now, reason, step="idle", slots=slots)
    if state.previous_champion is None:
        raise ImpossibleChange("there is no challenger and no previous champion to go back to")
    return _next(state, now, reason, step="idle", previous_champion=None,
                 slots={"champion": state.previous_champion})


def publish_state(home: Path, state: RolloutState) -> None:
    """Tell services what to serve, in ``serving/state.json``; nothing before the first champion."""
    if "champion" in state.slots:
        write_bytes(home / SERVING_FILE, canonical_json(state.model_dump(mode="json")))
