"""The five stops of the loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ui.server import schemas
from ui.server.sources.dagster import Run
from ui.server.sources.source import Source
from ui.server.views.drift import say
from ui.server.views.rollout import champion, newer
from ui.server.world import World, moment

GOING: Final = ("STARTED", "STARTING")
WAITING: Final = ("QUEUED", "NOT_STARTED")
WEEK: Final = timedelta(days=7)
TRAINING_JOBS: Final = ("retrain", "rebuild", "materialize_all", "ingest")
ENDED: Final = ("SUCCEEDED", "FAILED", "EXECUTION_FAILED")
NOTHING: Final = ""
NOT_KNOWN: Final = "not known"
PASSED: Final = ("first", "promote")


def stages(world: World, traffic: schemas.Traffic) -> list[schemas.Stage]:
    """All five, in the order of the loop."""
    rests: dict[str, tuple[Source[Any], ...]] = {
        "data": (world.store, world.dagster), "model": (world.store, world.mlflow),
        "service": (world.service, world.journal, world.ledger, world.prometheus),
        "drift": (world.store,), "retrain": (world.dagster, world.ledger, world.store)}
    made = [_data(world), _model(world), _service(world, traffic), _drift(world), _retrain(world)]
    return [stage.model_copy(update={"rests": [source.name for source in rests[stage.key]]})
            for stage in made]


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in words."""
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name} ago"
    return "just now"


def latest_run(world: World, states: tuple[str, ...]) -> Run | None:
    """The newest run that trains and is in one of these states."""
    return next((run for run in world.dagster.value.runs
                 if run.job in TRAINING_JOBS and run.status in states), None)


def _data(world: World) -> schemas.Stage:
    store, seen = world.store.value, world.dagster.value
    asset = seen.assets.get("dataset")
    rows = store.dataset.get("rows")
    # One that runs, or was skipped, has not failed.
    checks = [check for check in seen.checks if check.status in ENDED]
    passed = sum(check.status == "SUCCEEDED" for check in checks)
    stale = [each.name for each in seen.assets.values() if each.freshness in ("WARNING",
                                                                              "UNHEALTHY")]
    before = store.dataset_before.get("rows")
    grown = rows - before if isinstance(rows, int) and isinstance(before, int) else 0
    at = moment(asset.materialized) if asset else None
    missing, known = len(checks) - passed, world.dagster.seen.at is not None
    return schemas.Stage(
        key="data", title="Data",
        state="idle" if rows is None or not known else "warn" if stale else "ok",
        status="No dataset yet" if rows is None else
        f"Freshness {NOT_KNOWN}" if not known else
        f"Stale: {', '.join(stale)}" if stale else f"Fresh, {ago(at)}",
        token=store.dataset_version[:6],
        link=_link(world.console.addresses.dagster_page, "Dagster"),
        facts=[
            schemas.Fact(label="Images", value="none" if rows is None else f"{rows:,}",
                         aside=f"{grown:+,}" if grown else ""),
            schemas.Fact(label="Version", value=store.dataset_version[:10] or "none", mono=True),
            schemas.Fact(label="Checks",
                         value=f"{passed} of {len(checks)}" if known else NOT_KNOWN,
                         aside=f"{missing} not passed" if missing else "",
                         tone="warn" if missing else "plain" if known else "dim"),
        ])


def _model(world: World) -> schemas.Stage:
    models = world.store.value.models
    where = _link(world.console.addresses.mlflow_page, "MLflow")
    if not models:
        return schemas.Stage(key="model", title="Model", state="idle", status="No model yet",
                             token=NOTHING, link=where, facts=[])
    last = models[-1]
    scores: dict[str, Any] = last.evaluation.get("scores", {})
    gate: dict[str, Any] = last.evaluation.get("gate", {})
    overall = next((each for each in gate.get("slices", ()) if each["slice"] == "overall"), None)
    passed = gate.get("decision") in PASSED
    against = schemas.Fact(label="Against the champion", value="the first model", tone="dim")
    if overall is not None:
        half = (overall["upper"] - overall["lower"]) / 2
        tone: schemas.Tone = "ok" if overall["lower"] > 0 else "plain"
        against = schemas.Fact(label="Against the champion",
                               value=f"{overall['difference']:+.3f} ± {half:.3f}", tone=tone)
    return schemas.Stage(
        key="model", title="Model", state="ok" if passed else "warn",
        status=f"{last.label} passed its gate {ago(last.created_at)}" if passed
        else f"{last.label}: gate says {gate.get('decision', 'nothing')}",
        token=last.label, link=where,
        facts=[
            schemas.Fact(label="Macro F1", value=_number(scores.get("macro_f1"))), against,
            schemas.Fact(label="Calibration error", value=_number(scores.get("ece"))),
        ])


def _service(world: World, traffic: schemas.Traffic) -> schemas.Stage:
    serving = list(world.ledger.value.state.slots)
    up = not world.service.seen.problem
    answers = sum(each.requests for each in traffic.versions)
    tried = sum(each.requests / max(1e-9, 1 - each.failures) for each in traffic.versions
                if each.failures < 1)
    failed = 1 - answers / tried if tried else 0.0
    last = traffic.points[-1].rates if traffic.points else {}
    slowest = max((each.p95 for each in traffic.versions if each.p95 is not None), default=None)
    state: schemas.State = "idle" if not serving else "ok" if up else "bad"
    count = {0: "Nothing serves yet", 1: "Serving one version"}.get(
        len(serving), f"Serving {len(serving)} versions")
    return schemas.Stage(
        key="service", title="Service", state=state,
        status=count if up or not serving else "Does not answer", token=NOTHING,
        link=_link(world.service.url, "BentoML"),
        facts=[
            schemas.Fact(label="Requests", value=f"{sum(last.values()):.1f} /s"),
            schemas.Fact(label="p95 latency",
                         value="none" if slowest is None else f"{slowest:.0f} ms"),
            schemas.Fact(label="Failures", value=f"{failed:.2%}",
                         tone="warn" if failed > 0.01 else "plain"),
        ])


def _drift(world: World) -> schemas.Stage:
    latest = world.store.value.report
    link = schemas.Part(text="Signals", href="/drift")
    if latest is None:
        return schemas.Stage(key="drift", title="Drift", state="idle", status="No report yet",
                             token=NOTHING, link=link, facts=[])
    body = latest.body
    verdict, alarm = body["verdict"], body["alarm_at"]
    evidence = body["evidence"]
    over = [each for each in body["signals"] if each["adjusted"] <= 0.05]
    status = {"stable": "Nothing differs", "watch": "Suspected", "too-few": "Too few answers yet",
              "drifted": f"{len(over)} signals differ"}[verdict]
    facts = [schemas.Fact(
        label="Evidence", value="none" if evidence is None else _evidence(evidence),
        tone="warn" if verdict == "drifted" else "plain", aside=f"of {alarm:g}")]
    if body["signals"]:
        facts.append(schemas.Fact(label="Farthest", value=say(body["signals"][0]["name"]),
                                  tone="warn" if verdict == "drifted" else "plain"))
    facts.append(schemas.Fact(label="Looked", value=ago(latest.at)))
    state: schemas.State = "ok" if verdict == "stable" else "idle" if verdict == "too-few" \
        else "warn"
    return schemas.Stage(key="drift", title="Drift", state=state, status=status, token=NOTHING,
                         link=link, facts=facts)


def _evidence(value: float) -> str:
    return f"{value:.2g}" if value < 1e4 else f"over {min(value, 1e9):.0e}".replace("e+0", "e")


def _retrain(world: World) -> schemas.Stage:
    going, waiting = latest_run(world, GOING), latest_run(world, WAITING)
    asked = [run for run in world.dagster.value.runs if "mlops/drift_episode" in run.tags]
    budget = world.console.settings.drift.budget_a_week
    run = going or waiting
    where = world.console.addresses.dagster_page
    known = world.dagster.seen.at is not None
    facts = [schemas.Fact(label="By drift, 24 h", value=f"{len(asked)}" if known else NOT_KNOWN,
                          aside=f"of {budget} a week")]
    if run is not None:
        facts.insert(0, schemas.Fact(label="Run", value=run.id[:8], mono=True))
    ahead = newer(world)
    if ahead is not None:
        facts.append(schemas.Fact(label="Being rolled out", value=ahead.label))
    now = champion(world)
    if now is not None:
        facts.append(schemas.Fact(label="Champion", value=now.label))
    return schemas.Stage(
        key="retrain", title="Retrain",
        state="wait" if run is not None else "ok" if ahead is not None else "idle",
        status=f"{run.job} began {ago(moment(run.started))}" if going and run
        else f"{run.job} waits for its turn" if run is not None
        else "A newer model is being judged" if ahead is not None
        else "Nothing asks for it" if known else NOT_KNOWN.capitalize(),
        token=NOTHING, link=_link(where, "Dagster"), facts=facts)


def _number(value: Any) -> str:
    return "none" if value is None else f"{value:.3f}"


def _link(url: str, text: str) -> schemas.Part:
    return schemas.Part(text=text, href=url)
