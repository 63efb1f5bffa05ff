"""Everything that the overview shows, merged."""

from __future__ import annotations

from datetime import UTC, datetime

from ui.server import schemas
from ui.server.views.audit import entries
from ui.server.views.drift import heat, pairs, report_of_champion
from ui.server.views.needs import needs
from ui.server.views.predictions import waiting_labels
from ui.server.views.rollout import champion, newer, rollout
from ui.server.views.stages import GOING, WAITING, ago, latest_run, stages
from ui.server.views.traffic import traffic
from ui.server.world import World

SHOWN_AUDIT = 6
SHOWN_PAIRS = 5
NAMES = {"retrain": "A retraining", "rebuild": "A retraining", "ingest": "A new batch",
         "materialize_all": "The whole graph"}
NUMBERS = ("Nothing needs", "One thing needs", "Two things need", "Three things need",
           "Four things need", "Five things need", "Six things need", "Seven things need")


def loop(world: World, span: schemas.Range) -> schemas.Loop:
    """The overview of one moment."""
    requests = traffic(world, span)
    latest = world.store.value.report
    serving = rollout(world)
    waiting = needs(world, serving)
    asking = [need for need in waiting if need.level != "ok"]
    return schemas.Loop(
        at=datetime.now(UTC), headline=_headline(world, serving), subline=_subline(asking),
        sources=world.source_views(), stages=stages(world, requests), turn=_turn(world),
        traffic=requests, rollout=serving, needs=waiting,
        heat=heat(world.store.value.reports_of_one),
        pairs=pairs(latest)[:SHOWN_PAIRS], drift_at=None if latest is None else latest.at,
        audit=entries(world, SHOWN_AUDIT),
        counts={"models": len(world.store.value.models), "needs": len(asking),
                "alerts": len(world.alertmanager.value.alerts), "labels": waiting_labels(world),
                "drift": _drifted(world)})


def _drifted(world: World) -> int:
    """Signals that say that production has drifted from what the model that serves knows."""
    report = report_of_champion(world)
    if report is None or report.body["verdict"] != "drifted":
        return 0
    return max(1, len(report.body["signals"]))


def _headline(world: World, serving: schemas.Rollout) -> list[schemas.Part]:
    now, ahead = champion(world), newer(world)
    if now is None:
        return [schemas.Part(text="Nothing serves yet."),
                schemas.Part(text=" Make a model with `make demo`, or materialize the graph.")]
    name = schemas.Part(text=now.label, href=f"/models?v={now.label}")
    if ahead is None:
        parts = [name, schemas.Part(text=" answers all traffic.")]
    else:
        rival = schemas.Part(text=ahead.label, href=f"/models?v={now.label},{ahead.label}")
        said = {"held": " waits beside ", "shadow": " computes in the shadow of "}.get(
            serving.step, f" answers {ahead.weight:.0%} of traffic beside ")
        parts = [rival, schemas.Part(text=said), name, schemas.Part(text=".")]
    return [*parts, *_drift_part(world), *_training_part(world)]


def _drift_part(world: World) -> list[schemas.Part]:
    report = report_of_champion(world)
    if report is None:
        return []
    body = report.body
    if body["verdict"] == "drifted":
        return [schemas.Part(text=" "), schemas.Part(text="Production has drifted", href="/drift"),
                schemas.Part(text={"retrain": ", and a retraining is asked for.",
                                   "label": ", and labels are wanted."}.get(
                                       body["decision"]["action"], "; it does no harm so far."))]
    if body["verdict"] == "watch":
        return [schemas.Part(text=" "), schemas.Part(text="Drift is suspected", href="/drift"),
                schemas.Part(text=".")]
    return []


def _training_part(world: World) -> list[schemas.Part]:
    for states, end in ((GOING, " runs now."), (WAITING, " waits for its turn.")):
        if run := latest_run(world, states):
            return [schemas.Part(text=" "),
                    schemas.Part(text=NAMES.get(run.job, run.job), href="/automation"),
                    schemas.Part(text=end)]
    return []


def _subline(asking: list[schemas.Need]) -> str:
    count = len(asking)
    if not count:
        return "Nothing needs you. Everything is inside its limits."
    words = NUMBERS[count] if count < len(NUMBERS) else f"{count} things need"
    return f"{words} you."


def _turn(world: World) -> str:
    models, audit = world.store.value.models, world.ledger.value.audit
    if not models:
        return "The loop begins with the first model."
    promoted = [entry for entry in audit if entry.action in ("promote", "advance")
                and entry.details.get("state", {}).get("step") == "idle"]
    since = datetime.fromisoformat(promoted[-1].at) if promoted else models[0].created_at
    turns = len(promoted) + 1
    labelled = world.journal_book.labelled
    return (f"Turn {turns} began {ago(since)}. {labelled:,} labels have come in from production; "
            f"{len(models)} model{'s have' if len(models) > 1 else ' has'} been made.")
