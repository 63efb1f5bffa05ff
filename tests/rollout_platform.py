"""A platform's home with a service that follows it, changed as the graph and people change it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import FailureRecord, PredictionRecord
from mlops_assets.contracts.rollout import RolloutState, Step
from mlops_assets.monitoring.rollouts import Standing, facts, follow, look
from mlops_assets.serving.effect import change
from mlops_assets.serving.states import advance, arrive
from resources.journal import hours, journal_folder, read_failures, read_hour
from resources.mlflow import Tracking
from resources.platform_db import AuditEntry, PlatformDatabase

RULES: Final = RolloutSettings(step_seconds=0)
NAME: Final = "classifier"


@dataclass(frozen=True)
class Platform:
    """``port`` is where the service answers."""

    home: Path
    port: int
    tracking: Tracking

    def alter(self, how: Callable[[RolloutState, datetime], RolloutState]) -> RolloutState:
        """Change the state of serving as ``mlops rollout`` does."""
        return change(self.home, self.tracking, NAME, how, actor="someone", action="alter",
                      details={})

    def begin(self, bento_tag: str, version: str, step: Step) -> RolloutState:
        """A bento arrives, and somebody takes it up to ``step``."""
        state = self.alter(lambda present, now: arrive(
            present, bento_tag, version, now=now, automatic=True))
        while state.step != step:
            state = self.alter(lambda present, now: advance(
                present, reason="a person is sure", now=now))
        return state

    def judge(self) -> tuple[Standing, RolloutState]:
        """What the asset ``rollout_report`` does: the look, and the state after it."""
        found = look(self.home, self.state(), RULES)
        return found, change(
            self.home, self.tracking, NAME, partial(follow, found),
            actor="rollout_report", action="judge", details=facts(found))

    def state(self) -> RolloutState:
        """The state of serving."""
        with closing(PlatformDatabase(self.home)) as database:
            return database.read_state()

    def audit(self, *, after: int) -> list[AuditEntry]:
        """Changes that made a revision above ``after``."""
        with closing(PlatformDatabase(self.home)) as database:
            return [each for each in database.read_audit() if each.details["revision"] > after]

    def journal(self) -> tuple[list[PredictionRecord], list[FailureRecord]]:
        """Every prediction and every failure."""
        folder = journal_folder(self.home)
        keys = hours(folder)
        return ([each for key in keys for each in read_hour(folder, key)[0]],
                [each for key in keys for each in read_failures(folder, key)])
