"""``mlops story``: on a running demo, drift, repair by the platform alone, and a bad model."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from mlops_assets.cli.common import (
    interruptible,
    json_option,
    print_json,
    profile_option,
    to_stderr,
)
from mlops_assets.cli.platform import open_machine
from mlops_assets.cli.shifts import SHIFTS
from mlops_assets.contracts.errors import PlatformError
from resources.dagster_api import DagsterApi, DagsterError

if TYPE_CHECKING:
    from deploy.machine import Machine
    from mlops_assets.cli.generator import Generator
    from mlops_assets.contracts.rollout import RolloutState
    from resources.dagster_api import JobRun

INTERRUPTED: Final = 130
IMAGES: Final = 4_000
POLL_SECONDS: Final = 0.5
TELL_SECONDS: Final = 10.0
MEASURE_SECONDS: Final = 8.0
FAILED: Final = frozenset({"FAILURE", "CANCELED"})
Found = TypeVar("Found")


class StoryError(PlatformError):
    """Something in the loop did not come; the message says what, and where to look."""


@dataclass(slots=True)
class Story:
    """The loop, watched from outside: it sends traffic and looks, and touches nothing else."""

    machine: Machine
    api: DagsterApi
    traffic: Generator
    shift: str
    limit: float
    began: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.time)
    steps: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, step: str, what: str, link: str = "") -> None:
        """A step of the story, with its time and where to see it."""
        seconds = round(time.monotonic() - self.began, 1)
        self.steps.append({"step": step, "at": seconds, "what": what, "link": link})
        to_stderr(f"{seconds:6.1f} s  {step:16} {what}{'  ' + link if link else ''}")

    def wait(self, what: str, look: Callable[[], Found | None]) -> Found:
        """Until ``look`` finds something.

        Raises:
            StoryError: it does not come within the limit.
        """
        start = told = time.monotonic()
        while True:
            try:
                found = look()
            except DagsterError as error:
                # It may be restarting; what does not come back runs into the limit.
                found = None
                to_stderr(f"    {error}")
            if found is not None:
                return found
            now = time.monotonic()
            if now - start > self.limit:
                raise StoryError(f"{what} did not come within {self.limit:.0f} s; see "
                                 f"{self.api.url}/runs and `mlops status`")
            if now - told >= TELL_SECONDS:
                told = now
                tally = self.traffic.tally
                to_stderr(f"{now - self.began:6.1f} s    waiting for {what}; {tally.sent} answers, "
                          f"{tally.recent_accuracy:.1%} of the last {len(tally.recent)} right")
            time.sleep(POLL_SECONDS)

    def state(self) -> RolloutState:
        """What serves now."""
        from mlops_assets.contracts.rollout import read_state

        return read_state(self.machine.layout.serving)

    def measure(self, shift: str) -> float:
        """Accuracy on fresh traffic of one kind."""
        self.traffic.shift_name = shift
        self.traffic.forget()
        time.sleep(MEASURE_SECONDS)
        return self.traffic.tally.accuracy

    def drift(self) -> dict[str, Any]:
        """Drifted traffic, until a report asks for a new model."""
        before = self.measure(self.shift)
        what = SHIFTS[self.shift][1]
        self.tell("drifted traffic", f"{self.shift} ({what}): {before:.1%} right")

        def asked() -> dict[str, Any] | None:
            at, facts = self.api.latest("drift_report")
            return dict(facts) if at > self.since and facts.get("action") == "retrain" else None

        report = self.wait("a drift report that asks for a new model", asked)
        self.tell("verdict", f"{report['verdict']}: {report['action_reason']}",
                  f"{self.api.url}/assets/drift_report")
        return report | {"before": before}

    def retrain(self) -> str:
        """The sensor's run, until it ends."""

        def begun() -> JobRun | None:
            return next((run for run in self.api.runs("retrain") if run.at > self.since), None)

        run = self.wait("the retraining that the sensor requests", begun)
        link = f"{self.api.url}/runs/{run.run_id}"
        self.tell("retraining", f"requested by the sensor ({run.tags.get('dagster/partition')})",
                  link)

        def ended() -> str | None:
            status = next(each.status for each in self.api.runs("retrain")
                          if each.run_id == run.run_id)
            return status if status == "SUCCESS" or status in FAILED else None

        status = self.wait("the retraining", ended)
        at, facts = self.wait("the gate's verdict", lambda: self.api.latest("model_evaluation"))
        verdict = f"{facts.get('gate')}: {facts.get('gate_reason')}" if at > run.at else "not asked"
        self.tell("gate", verdict, f"{self.api.url}/assets/model_evaluation")
        if status in FAILED:
            raise StoryError(f"the retraining ended as {status}; see {link}")
        return run.run_id

    def settle(self) -> tuple[str, str]:
        """The first report on the model that serves now: its verdict, and what it asks for."""
        version = self.state().slots["champion"].model_version

        def reported() -> dict[str, Any] | None:
            _, facts = self.api.latest("drift_report")
            known = facts.get("model_version") == version and facts.get("verdict") != "too-few"
            return dict(facts) if known else None

        report = self.wait("a drift report on the new champion", reported)
        self.tell("calm", f"{report['verdict']}: {report['action_reason']}",
                  f"{self.api.url}/assets/drift_report")
        return str(report["verdict"]), str(report["action"])

    def roll_out(self, tag: str) -> bool:
        """Follow a bento up the steps; whether it became champion."""
        link = f"{self.api.url}/assets/rollout_report"
        seen = ""

        def moved() -> RolloutState | None:
            state = self.state()
            return state if f"{state.revision}" != seen else None

        while True:
            state = self.wait(f"a judgement of {tag}", moved)
            seen = f"{state.revision}"
            slots = {name: slot.bento_tag for name, slot in state.slots.items()}
            if slots.get("champion") == tag:
                self.tell("promoted", state.reason, link)
                return True
            if tag not in slots.values():
                self.tell("rolled back", state.reason, link)
                return False
            self.tell(state.step, state.reason, link)


def _play(story: Story) -> dict[str, Any]:
    from mlops_assets.cli.bad_bento import release_wrong_bento

    clean = story.measure("none")
    champion = story.state().slots["champion"].bento_tag
    story.tell("usual traffic", f"{champion}: {clean:.1%} right")
    found = story.drift()
    story.retrain()
    newer = [slot.bento_tag for slot in story.state().slots.values()
             if slot.bento_tag != champion] or [champion]
    promoted = story.roll_out(newer[0])
    after = story.measure(story.shift)
    story.tell("drifted traffic", f"{after:.1%} right; before: {found['before']:.1%}")
    verdict, action = story.settle()
    bad = release_wrong_bento(story.machine.settings, actor="mlops story")
    story.tell("bad model", f"{bad} has its classes mixed up, and passed no gate")
    story.wait("a first look at it", lambda: story.api.launch("judge_rollout"))
    kept = story.roll_out(bad)
    tally = story.traffic.tally
    return {
        "clean": clean, "before": found["before"], "after": after, "promoted": promoted,
        "verdict_on_new_champion": verdict, "action_on_new_champion": action,
        "bad_model_promoted": kept,
        "failed_requests": tally.failed,
        "last_error": tally.last_error, "steps": story.steps, "loop": _loop(story.steps),
        "seconds": round(time.monotonic() - story.began, 1),
    }


def _loop(steps: list[dict[str, Any]]) -> dict[str, float]:
    """Seconds from the first drifted request to each stage of the repair."""
    first = next(each["at"] for each in steps if each["step"] == "drifted traffic")
    first -= MEASURE_SECONDS
    stages = ("verdict", "retraining", "gate", "shadow", "canary-1", "promoted")
    found = {}
    for stage in stages:
        at = next((each["at"] for each in steps if each["step"] == stage), None)
        if at is not None:
            found[stage] = round(at - first, 1)
    return found


@click.command(epilog="Example: mlops story --shift inverted")
@click.option("--shift", "shift_name", type=click.Choice([name for name in SHIFTS
                                                          if name != "none"]),
              default="rotated", show_default=True, help="What happens to production.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=100.0, show_default=True,
              help="Images a second.")
@click.option("--limit", type=click.FloatRange(0, min_open=True), default=900.0, show_default=True,
              help="Seconds that any single step may take.")
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Keep the ids of all answered and labelled predictions.")
@profile_option
@json_option
def story(
    shift_name: str, rate: float, limit: float, record: Path | None, profile: str | None,
    as_json: bool,
) -> None:
    """Watch the platform repair itself: drift, retraining, gate, rollout; then a bad model.

    Needs a running demo (`mlops demo --profile demo`). It sends labelled traffic and looks; all
    else is done by the sensors.
    """
    from mlops_assets.cli.generator import Generator
    from mlops_assets.cli.traffic import unseen_images
    from resources.service_api import ServiceApi

    machine = open_machine(profile)
    host, ports = machine.settings.platform.host, machine.ports
    if not machine.settings.rollout.automatic:
        raise StoryError("set `automatic: true` in configs/rollout.yaml, or take the demo profile")
    images = unseen_images(machine.settings, IMAGES)
    with (
        closing(DagsterApi(f"http://{host}:{ports.dagster}")) as api,
        closing(ServiceApi(f"http://{host}:{ports.service}")) as service,
    ):
        traffic = Generator(service, images, rate=rate, delay=1.0)
        try:
            with interruptible(), traffic:
                result = _play(Story(machine, api, traffic, shift_name, limit))
        except KeyboardInterrupt:
            to_stderr("interrupted; the platform goes on running")
            sys.exit(INTERRUPTED)
        finally:
            if record is not None:
                record.write_text(json.dumps(
                    {"answered": traffic.answered, "labelled": traffic.labelled}))
    if as_json:
        print_json(result)
    else:
        click.echo(f"\naccuracy on {shift_name} traffic: {result['before']:.1%} before, "
                   f"{result['after']:.1%} after; {result['failed_requests']} requests failed; "
                   f"{result['seconds']} s")
    if (not result["promoted"] or result["bad_model_promoted"] or result["failed_requests"]
            or result["action_on_new_champion"] == "retrain"):
        said = f"; the last failed request: {result['last_error']}" if result["last_error"] else ""
        raise StoryError(f"the loop did not do what it should; see the steps above{said}")
