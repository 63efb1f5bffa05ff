"""Changes of the state of serving, as pure functions of the state."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.rollout import LADDER, RolloutState, SlotAssignment, Step
from mlops_assets.provenance.hashing import canonical_json
from resources.durable import write_bytes

SHARES: Final[dict[Step, float]] = {"canary-1": 0.01, "canary-10": 0.1, "canary-50": 0.5}


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

    It takes the place of one that waits or is being judged. A bento that already has a slot
    changes nothing; the same state comes back.
    """
    if any(slot.bento_tag == bento_tag for slot in state.slots.values()):
        return state
    new = SlotAssignment(model_version=model_version, bento_tag=bento_tag, weight=1.0)
    if "champion" not in state.slots:
        return _next(state, now, f"first model {bento_tag}", slots={"champion": new})
    waiting = new.model_copy(update={"weight": 0.0})
    return _next(state, now, f"{bento_tag} passed the gate", step="held",
                 slots={"champion": state.slots["champion"], "challenger": waiting})


def arrive(
    state: RolloutState, bento_tag: str, model_version: str, *, now: datetime, automatic: bool,
    reason: str = "",
) -> RolloutState:
    """As ``release``; where rollouts are ``automatic`` a later one begins as a shadow at once."""
    released = release(state, bento_tag, model_version, now=now)
    if released is state or "challenger" not in released.slots or not automatic:
        return released
    shadow = advance(
        released, reason=f"{reason or released.reason}; its rollout begins", now=now)
    return shadow.model_copy(update={"revision": released.revision})


def advance(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """One step up: held, shadow, 1 %, 10 %, 50 % of the traffic, then champion.

    As a shadow the newer model computes on every request and answers none.

    Raises:
        ImpossibleChange: no newer model waits.
    """
    newer = _newer(state, "advance")
    champion = state.slots["champion"]
    if state.step not in LADDER:
        shadow = newer.model_copy(update={"weight": 1.0})
        return _next(state, now, reason, step="shadow",
                     slots={"champion": champion, "shadow": shadow})
    higher = LADDER.index(state.step) + 1
    if higher == len(LADDER):
        return promote(state, reason=reason, now=now)
    step = LADDER[higher]
    answers = newer.model_copy(update={"weight": SHARES[step]})
    return _next(state, now, reason, step=step,
                 slots={"champion": champion, "challenger": answers})


def promote(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """The challenger, or the shadow, becomes champion.

    Raises:
        ImpossibleChange: there is neither.
    """
    champion = _newer(state, "promote").model_copy(update={"weight": 1.0})
    return _next(state, now, reason, step="idle", slots={"champion": champion},
                 previous_champion=state.slots.get("champion"))


def hold(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """The challenger, or the shadow, gets no traffic until a person says so.

    Raises:
        ImpossibleChange: there is neither.
    """
    waiting = _newer(state, "hold").model_copy(update={"weight": 0.0})
    return _next(state, now, reason, step="held",
                 slots={"champion": state.slots["champion"], "challenger": waiting})


def _newer(state: RolloutState, action: str) -> SlotAssignment:
    newer = state.slots.get("challenger") or state.slots.get("shadow")
    if newer is None or "champion" not in state.slots:
        raise ImpossibleChange(f"there is no challenger to {action}; see `mlops rollout status`")
    return newer


def roll_back(state: RolloutState, *, reason: str, now: datetime) -> RolloutState:
    """The challenger goes; without one, the previous champion serves again.

    Raises:
        ImpossibleChange: there is neither.
    """
    slots = dict(state.slots)
    newer = [slot for slot in ("challenger", "shadow") if slot in slots]
    for slot in newer:
        del slots[slot]
    if newer:
        return _next(state, now, reason, step="idle", slots=slots)
    if state.previous_champion is None:
        raise ImpossibleChange("there is no challenger and no previous champion to go back to")
    return _next(state, now, reason, step="idle", previous_champion=None,
                 slots={"champion": state.previous_champion})


def publish_state(home: Path, state: RolloutState) -> None:
    """Tell services what to serve, in ``serving/state.json``; nothing before the first champion."""
    if "champion" in state.slots:
        write_bytes(home / SERVING_FILE, canonical_json(state.model_dump(mode="json")))
