"""The state of serving and the judgement of a rollout."""

from __future__ import annotations

from typing import Any, Final

from mlops_assets.contracts.rollout import LADDER, SlotAssignment
from mlops_assets.serving.operate import allowed
from mlops_assets.serving.states import SHARES
from ui.server import schemas
from ui.server.world import World

STEPS: Final = (*LADDER, "champion")


def rollout(world: World) -> schemas.Rollout:
    """What serves, where a rollout stands, and what may be done."""
    state, store = world.ledger.value.state, world.store.value
    judged = _judged(world)
    same = judged.get("revision") == state.revision
    slots = [slot_view(world, slot, each) for slot, each in sorted(state.slots.items())]
    return schemas.Rollout(
        revision=state.revision, step=state.step, reason=state.reason,
        changed_at=state.changed_at, slots=slots,
        previous=None if state.previous_champion is None else
        slot_view(world, "previous champion", state.previous_champion),
        ladder=_ladder(state.step), verdict=str(judged.get("verdict", "")) if same else "",
        verdict_reason=str(judged.get("reason", "")) if same else "",
        judged_at=store.judged_at if judged else None,
        findings=[_finding(raw) for raw in judged.get("findings", ())],
        automatic=world.console.settings.rollout.automatic, may=list(allowed(state)))


def _judged(world: World) -> dict[str, Any]:
    """The latest judgement, where it is of this step or led to it: evidence is of the rollout."""
    judged, revision = world.store.value.judged, world.ledger.value.state.revision
    known = (judged.get("revision"), judged.get("next", {}).get("revision"))
    return judged if revision in known and newer(world) is not None else {}


def slot_view(world: World, slot: str, assignment: SlotAssignment) -> schemas.SlotView:
    """One slot; what a challenger answers, the champion does not."""
    challenger = world.ledger.value.state.slots.get("challenger")
    weight = assignment.weight
    if slot == "champion" and challenger is not None:
        weight -= challenger.weight
    return schemas.SlotView(
        slot=slot, label=world.store.value.label(assignment.model_version),
        version=assignment.model_version, bento_tag=assignment.bento_tag,
        weight=weight)


def newer(world: World) -> schemas.SlotView | None:
    """The model that is being rolled out or waits for it."""
    slots = world.ledger.value.state.slots
    for slot in ("challenger", "shadow"):
        if slot in slots:
            return slot_view(world, slot, slots[slot])
    return None


def champion(world: World) -> schemas.SlotView | None:
    """The model that answers."""
    slots = world.ledger.value.state.slots
    return slot_view(world, "champion", slots["champion"]) if "champion" in slots else None


def _ladder(step: str) -> list[schemas.StepView]:
    at = STEPS.index(step) if step in STEPS else -1
    shares: dict[str, float] = {str(step): share for step, share in SHARES.items()}
    shares |= {"shadow": 0.0, "champion": 1.0}
    return [schemas.StepView(
        step=name, share=shares[name],
        state="now" if number == at else "done" if number < at else "next")
        for number, name in enumerate(STEPS)]


def _finding(raw: dict[str, Any]) -> schemas.Finding:
    compared, interval, margin = raw["compared"], raw["interval"], float(raw["margin"])
    counts = {side: (int(compared[side]["events"]), int(compared[side]["trials"]))
              for side in ("challenger", "champion")}
    worse = interval["lower"] > margin
    fine = interval["upper"] <= margin

    def rate(side: str) -> float:
        events, trials = counts[side]
        return events / trials if trials else 0.0

    return schemas.Finding(
        metric=raw["metric"], lower=interval["lower"], upper=interval["upper"], margin=margin,
        challenger=rate("challenger"), challenger_of=counts["challenger"][1],
        champion=rate("champion"), champion_of=counts["champion"][1],
        verdict="worse" if worse else "not worse" if fine else "not clear yet")
