"""What waits for a person: few things, each with what to do."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

from ui.server import schemas
from ui.server.runbooks import runbook_address
from ui.server.views.drift import report_of_champion
from ui.server.views.predictions import queue
from ui.server.views.rollout import newer
from ui.server.world import World, moment

ORDER = {"bad": 0, "warn": 1, "ask": 2, "ok": 3}
# Alerts on what the console sees itself, and says with more of the cause.
SEEN_HERE = frozenset({"RunFailed", "CheckFailed", "ConsoleSourceDown", "MlflowDown"})
OF_DRIFT = frozenset({"DriftDetected", "PerformanceDrop"})
OPENS: Final = re.compile("https?://|/")


def needs(world: World, serving: schemas.Rollout) -> list[schemas.Need]:
    """All of them, the most pressing first; ``serving`` is the view of the rollout."""
    drifted = list(_drift(world))
    said = SEEN_HERE | OF_DRIFT if drifted else SEEN_HERE
    found = [*_sources(world), *_alerts(world, said), *drifted, *_rollout(world, serving),
             *_runs(world), *_checks(world), *_audit(world)]
    return sorted(found, key=lambda need: ORDER[need.level])


def _sources(world: World) -> Iterator[schemas.Need]:
    for source in world.sources:
        if source.configured and source.seen.problem:
            yield schemas.Need(
                id=f"source-{source.name}", level="bad", title=f"{source.name} does not answer",
                detail=source.seen.problem, since=source.seen.at)


def _alerts(world: World, said: Collection[str]) -> Iterator[schemas.Need]:
    for raw in world.alertmanager.value.alerts:
        labels, notes = raw.get("labels", {}), raw.get("annotations", {})
        name = labels.get("alertname", "Alert")
        if name in said:
            continue
        yield schemas.Need(
            id=f"alert-{raw.get('fingerprint', name)}",
            level="bad" if labels.get("severity") == "critical" else "warn",
            title=notes.get("summary", name), detail=notes.get("description", ""),
            since=datetime.fromisoformat(raw["startsAt"]) if raw.get("startsAt") else None,
            link=schemas.Part(text="All alerts", href="/alerts"),
            runbook=_runbook(notes.get("runbook_url", "")))


def _runbook(url: str) -> schemas.Part | None:
    """A link to it, where it has an address."""
    address = runbook_address(url)
    return schemas.Part(text="Runbook", href=address) if OPENS.match(address) else None


def _drift(world: World) -> Iterator[schemas.Need]:
    latest = report_of_champion(world)
    if latest is None or latest.body["verdict"] not in ("drifted", "watch"):
        return
    body, decision = latest.body, latest.body["decision"]
    yield schemas.Need(
        id=f"drift-{latest.version}", level="warn",
        title="Production has drifted" if body["verdict"] == "drifted" else "Drift is suspected",
        detail=f"{sentence(body['reason'])} {sentence(decision['reason'])}", since=latest.at,
        link=schemas.Part(text="Look at the signals", href="/drift"))
    waiting = queue(world)
    if body["verdict"] == "drifted" and waiting.open and waiting.done < waiting.wanted:
        yield schemas.Need(
            id="labels", level="ask",
            title=f"{waiting.wanted - waiting.done} images left to label",
            detail=f"A retraining needs {waiting.wanted} labels; {waiting.done} are there.",
            link=schemas.Part(text="Open the queue", href="/labels"))


def sentence(text: str) -> str:
    """A phrase with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "." if text else ""


def _rollout(world: World, state: schemas.Rollout) -> Iterator[schemas.Need]:
    waiting = newer(world)
    if waiting is None:
        return
    if state.step == "held":
        yield schemas.Need(
            id=f"held-{state.revision}", level="ask", title=f"{waiting.label} waits for you",
            detail=f"{sentence(state.reason)} It gets no traffic until somebody says so.",
            since=state.changed_at, link=schemas.Part(text="Open the rollout", href="/rollout"))
    elif not state.automatic:
        yield schemas.Need(
            id=f"step-{state.revision}", level="ask",
            title=f"{waiting.label} is at {state.step}",
            detail="Rollouts are not automatic here: go a step up, hold or roll back.",
            since=state.changed_at, link=schemas.Part(text="Open the rollout", href="/rollout"))


def _runs(world: World) -> Iterator[schemas.Need]:
    seen: set[str] = set()
    for run in world.dagster.value.runs:
        if run.job in seen:
            continue
        seen.add(run.job)
        if run.status == "FAILURE":
            where = world.console.addresses.dagster_page
            yield schemas.Need(
                id=f"run-{run.id}", level="warn", title=f"The latest run of {run.job} failed",
                detail=run.tags.get("mlops/drift_reason", run.id[:8]), since=moment(run.ended),
                link=schemas.Part(text="Run in Dagster", href=f"{where}/runs/{run.id}"))
    for sensor in world.dagster.value.sensors:
        if sensor.running and sensor.tick == "FAILURE":
            yield schemas.Need(
                id=f"sensor-{sensor.name}", level="warn",
                title=f"{sensor.name} failed at its last tick", detail=sensor.detail,
                since=moment(sensor.ticked), link=schemas.Part(text="Automation",
                                                               href="/automation"))


def _checks(world: World) -> Iterator[schemas.Need]:
    for check in world.dagster.value.checks:
        if check.blocking and check.status in ("FAILED", "EXECUTION_FAILED"):
            where = world.console.addresses.dagster_page
            yield schemas.Need(
                id=f"check-{check.asset}-{check.name}", level="warn",
                title=f"{check.asset}: {check.name} did not pass", detail=check.description,
                link=schemas.Part(text="Asset in Dagster", href=f"{where}/assets/{check.asset}"))


def _audit(world: World) -> Iterator[schemas.Need]:
    if world.ledger.value.broken:
        yield schemas.Need(
            id="audit", level="bad", title="The audit log is not what was written",
            detail=world.ledger.value.broken,
            link=schemas.Part(text="Audit log", href="/audit"))
