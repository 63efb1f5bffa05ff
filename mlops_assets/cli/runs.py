"""Following a Dagster run: what a person sees of it while it goes, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from resources.dagster_api import DagsterApi, Event

POLL_SECONDS: Final = 0.5
ENDS: Final = {"RunSuccessEvent": True, "RunFailureEvent": False, "RunCanceledEvent": False}
TRAINING_WORD: Final = "epoch "

Show = Callable[[str], None]


class RunError(PlatformError):
    """A run failed; the message names the step, the cause, and the page with the rest."""


@dataclass(slots=True)
class RunReport:
    """What a run did: asset to metadata of its materialization."""

    run_id: str
    assets: dict[str, dict[str, bool | float | str]] = field(default_factory=dict)

    @property
    def reused(self) -> int:
        """How many assets were unchanged and taken from the store."""
        return sum(metadata.get("reused") is True for metadata in self.assets.values())


@dataclass(slots=True)
class RunFollower:
    """Turns the events of one run into lines for a person."""

    show: Show
    report: RunReport
    started: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    trouble: str = ""

    def take(self, event: Event) -> bool | None:
        """Take one event; True or False when it says that the run ended well or not."""
        if event.kind == "ExecutionStepStartEvent":
            self.started[event.step] = event.at
        elif event.kind == "MaterializationEvent":
            self._materialized(event)
        elif event.kind == "LogMessageEvent" and TRAINING_WORD in event.message:
            self.show(f"    {event.message[event.message.index(TRAINING_WORD):].strip()}")
        elif event.kind == "ExecutionStepFailureEvent":
            self.failures.append(f"step `{event.step}` failed: {event.error or event.message}")
            self.show(f"  {event.step}: FAILED")
        elif event.kind == "EngineEvent" and event.error:
            # Before any step, such as code that does not load: the run's own end says no reason.
            self.trouble = event.error
        elif event.kind in ENDS and not ENDS[event.kind] and not self.failures:
            reason = event.error or self.trouble or event.message
            self.failures.append(reason or "the run was canceled")
        return ENDS.get(event.kind)

    def _materialized(self, event: Event) -> None:
        self.report.assets[event.asset] = event.metadata
        how = "reused" if event.metadata.get("reused") is True else "materialized"
        seconds = event.at - self.started.get(event.step, event.at)
        version = str(event.metadata.get("version", ""))[:12]
        self.show(f"  {event.asset:22} {how:12} {seconds:6.1f} s  {version}")


def follow_run(api: DagsterApi, run: str, show: Show) -> RunReport:
    """Wait for the end of a run; ``show`` gets a line for each asset and training epoch.

    Raises:
        RunError: the run failed or was canceled.
    """
    follower = RunFollower(show, RunReport(run))
    cursor: str | None = None
    while True:
        events, cursor = api.events(run, cursor)
        for event in events:
            ended = follower.take(event)
            if ended is True:
                return follower.report
            if ended is False:
                raise RunError(f"{follower.failures[0]}; see {api.url}/runs/{run}")
        if not events:
            time.sleep(POLL_SECONDS)
