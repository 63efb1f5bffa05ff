"""The latest drift report, and those before it as a heat strip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ui.server import schemas
from ui.server.sources.store import Report
from ui.server.world import World

SHOWN: Final = 8
MEASURE: Final = "distance from the reference (KS); chance passes the limit in 1 % of looks"


def drift(world: World) -> schemas.Drift:
    """Everything of the latest report of the model that serves, or of any if it has none."""
    store, settings = world.store.value, world.console.settings.drift
    latest = store.report
    if latest is None:
        return schemas.Drift(
            known=False, verdict="unknown", reason="no drift report yet", action="none",
            action_reason="", at=None, model="", window_rows=0,
            window_size=settings.window_rows, evidence=None, alarm_at=1 / settings.alpha,
            alpha=settings.alpha, history=[], alarm_window=0, signals=[], heat=heat([]),
            classes=[], accuracy=[], pairs=[], report="")
    body, decision = latest.body, latest.body["decision"]
    return schemas.Drift(
        known=True, verdict=body["verdict"], reason=body["reason"], action=decision["action"],
        action_reason=decision["reason"], at=latest.at,
        model=store.label(latest.model_version), window_rows=body["window_rows"],
        window_size=body["window_size"], evidence=body["evidence"], alarm_at=body["alarm_at"],
        alpha=body["alpha"], history=body["history"], alarm_window=body["alarm_window"],
        signals=[_signal(raw) for raw in body["signals"]], heat=heat(store.reports_of_one),
        classes=[_class(raw) for raw in body["classes"]],
        accuracy=[_accuracy(raw) for raw in body["accuracy"]], pairs=pairs(latest),
        report=f"/api/v1/drift/report/{latest.version}")


def report_of_champion(world: World) -> Report | None:
    """The latest report, where it is of the model that serves."""
    latest, now = world.store.value.report, world.ledger.value.state.slots.get("champion")
    return latest if latest and now and latest.model_version == now.model_version else None


def pairs(report: Report | None) -> list[schemas.DriftPair]:
    """The strangest requests, each with its nearest reference image."""
    if report is None:
        return []
    return [schemas.DriftPair(
        prediction_id=raw["prediction_id"], image=raw["image_sha256"], label=raw["label"],
        confidence=raw["confidence"], nearest=raw["nearest"], nearest_label=raw["nearest_label"],
        distance=raw["distance"]) for raw in report.body["pairs"]]


def heat(reports: Sequence[Report], shown: int = SHOWN) -> schemas.Heat:
    """The columns that lie farthest now, over all reports of one model."""
    described = [report for report in reports if report.body.get("columns")]
    times = [report.at for report in described]
    if not described:
        return schemas.Heat(times=[], rows=[], measure=MEASURE)
    distances = [{raw["name"]: float(raw["ks"]) for raw in report.body["columns"]}
                 for report in described]
    limits = [report.limit for report in described]
    latest = sorted(distances[-1].items(), key=lambda item: -item[1])[:shown]
    rows = []
    for name, value in latest:
        cells = [None if name not in each else each[name] / limit
                 for each, limit in zip(distances, limits, strict=True)]
        rows.append(schemas.HeatRow(
            name=say(name), value=value, limit=limits[-1], over=value > limits[-1], cells=cells))
    return schemas.Heat(times=times, rows=rows, measure=MEASURE)


def say(name: str) -> str:
    """A signal's name in words."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _signal(raw: dict[str, Any]) -> schemas.SignalView:
    return schemas.SignalView(name=say(raw["name"]), evidence=raw["statistic"],
                              adjusted=raw["adjusted"], direction=raw["direction"],
                              since=raw["since"])


def _class(raw: dict[str, Any]) -> schemas.ClassView:
    return schemas.ClassView(
        name=raw["class"], reference=raw["reference"], production=raw["production"],
        accuracy=None if raw["accuracy"] == "" else raw["accuracy"], labels=raw["labels"])


def _accuracy(raw: dict[str, Any]) -> schemas.AccuracyView:
    def number(key: str) -> float | None:
        return None if raw[key] == "" else float(raw[key])

    return schemas.AccuracyView(how=raw["how"], accuracy=raw["accuracy"], lower=number("lower"),
                                upper=number("upper"), rows=raw["rows"])
