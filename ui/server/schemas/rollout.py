"""The state of serving and the judgement of a rollout."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from ui.server.schemas.basics import Action, Body


class SlotView(Body):
    """One model version in one slot; ``label`` is its short name, such as `v3`."""

    slot: str
    label: str
    version: str
    bento_tag: str
    weight: float


class Finding(Body):
    """One metric of a judgement: challenger minus champion, with the margin it is held to.

    All are shares of answers for which something bad happened: lower is better.
    """

    metric: str
    lower: float
    upper: float
    margin: float
    challenger: float
    challenger_of: int
    champion: float
    champion_of: int
    verdict: Literal["worse", "not worse", "not clear yet"]


class StepView(Body):
    """One step of the ladder."""

    step: str
    share: float
    state: Literal["done", "now", "next"]


class Rollout(Body):
    """The state of serving, and the judgement of a rollout."""

    revision: int
    step: str
    reason: str
    changed_at: AwareDatetime | None
    slots: list[SlotView]
    previous: SlotView | None
    ladder: list[StepView]
    verdict: str
    verdict_reason: str
    judged_at: AwareDatetime | None
    findings: list[Finding]
    automatic: bool
    may: list[Action] = Field(description="what the state allows now")
