"""Build of ``drift_report``: the trigger's verdict, what moved, what it costs, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.accuracy import Estimate, Estimator, Measured, measure
from mlops_assets.monitoring.columns import Columns
from mlops_assets.monitoring.drift import DriftReport, View, compare
from mlops_assets.monitoring.drift_pictures import draw
from mlops_assets.monitoring.examples import Pair, draw_pairs, find_pairs
from mlops_assets.monitoring.log_rows import (
    Hour,
    latest_answers,
    list_hours,
    read_answers,
    read_labels,
    read_verdicts,
)
from mlops_assets.monitoring.page import render
from mlops_assets.monitoring.policy import Decision, decide
from mlops_assets.monitoring.quality import describe_quality
from mlops_assets.monitoring.reference import Reference, usable
from mlops_assets.monitoring.trigger.views import Rows
from mlops_assets.monitoring.watch import fits, judge
from mlops_assets.provenance.hashing import canonical_json
from resources.steps import Workspace

REPORT_FILE: Final = "report.json"
PAGE_FILE: Final = "report.html"
WAITING: Final = ("shadow", "challenger")
ANSWERING: Final = ("champion", "challenger")


@dataclass(frozen=True, slots=True)
class Span:
    """Hours that are described, by partition key and both included; None: the latest rows."""

    first: str | None = None
    last: str | None = None

    def holds(self, hour: Hour) -> bool:
        """Whether an hour lies in it."""
        return (self.first or "") <= hour.key and (self.last is None or hour.key <= self.last)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a report rests on: the reference, the window's last rows, its labels.

    ``rows`` is ``frame`` as the trigger's views read it.
    """

    reference: Reference
    frame: pl.DataFrame
    rows: Rows
    labelled: pl.DataFrame
    hours: list[Hour]
    slots: tuple[str, ...]


def build_drift_report(
    settings: DriftSettings, span: Span, images: Path, states: Path, work: Workspace
) -> None:
    """Judge the predictions of the model that serves.

    ``images`` holds the requests' images that were kept, ``states`` is where the trigger's states
    are kept between reports.
    """
    seen = _look(settings, span, work)
    reference = seen.reference
    version = reference.card.version

    def read(hour: Hour) -> Iterator[pl.DataFrame]:
        return read_answers(hour, version, seen.slots)

    sequential = usable(reference.arrays) and fits(reference, settings)
    found = judge(reference, seen.hours, read, settings, states) if sequential else (
        _look_once(seen, settings))
    estimates, measured = _accuracy(seen, settings)
    kept = seen.labelled.filter("image_kept")["image_sha256"].n_unique()
    decision = decide(found.verdict, estimates, measured, kept, settings)
    if span != Span():
        # A look back may not start a retraining.
        decision = replace(decision, action="none", reason="describes chosen hours")
    pairs = find_pairs(seen.frame, reference, images)
    body = _body(seen, found, decision, estimates, measured, pairs, settings)
    body["columns"] = _columns(seen, span) if seen.frame.height else []
    _publish(work, seen, found, decision, pairs, body)


def _look(settings: DriftSettings, span: Span, work: Workspace) -> Seen:
    reference = Reference.read(work.read("exported_model"))
    version, hours, labels = reference.card.version, list_hours(work), read_labels(work)
    before = (frame for hour in hours for frame in read_answers(hour, version, WAITING))
    if usable(reference.arrays):
        reference = reference.with_accepted(before, labels)
    slots = ("champion",) if reference.accepted else ANSWERING
    frame = latest_answers([hour for hour in hours if span.holds(hour)], version,
                           settings.max_window)
    answers = read_verdicts(hours).filter(
        pl.col("model_version") == version, pl.col("slot").is_in(slots))
    labelled = answers.join(labels, on="prediction_id", how="inner").sort("prediction_id")
    return Seen(reference, frame, reference.rows_of(frame), labelled, hours, slots)


def _look_once(seen: Seen, settings: DriftSettings) -> DriftReport:
    """Where the reference is too small for the trigger: one look at the latest rows."""
    reference = seen.reference
    held = reference.arrays
    window = seen.rows
    classes = len(reference.card.classes)

    def view(confidence: Any, pixels: Any, projected: Any, counts: Any) -> View:
        signals = {"confidence": confidence, **pixels}
        signals |= {f"embedding_{each + 1}": projected[:, each]
                    for each in range(min(8, projected.shape[1]))}
        return View(signals, counts)

    known = {name: held[name] for name in window.pixels}
    return compare(
        view(held["confidence"], known, held["projected"], held["predicted"].astype(np.int64)),
        view(window.confidence, window.pixels, window.projected,
             np.bincount(window.predicted, minlength=classes).astype(np.int64)), settings)


def _accuracy(seen: Seen, settings: DriftSettings) -> tuple[list[Estimate], Measured | None]:
    """Estimates of the last two windows, and what labels say."""
    reference = seen.reference
    right, held, size = reference.right, reference.known, settings.window_rows
    if right is None or held is None:
        return [], None
    end = seen.frame.height
    estimates: list[Estimate] = []
    if end >= 2 * size:
        known = Estimator.fit(held, right)
        estimates = [known.estimate(seen.rows.part(slice(start, start + size)))
                     for start in (end - 2 * size, end - size)]
    truths = (seen.labelled["label"] == seen.labelled["truth"]).to_numpy()
    return estimates, measure(truths, right, tolerance=settings.label_tolerance,
                              alpha=settings.label_alpha)


def _columns(seen: Seen, span: Span) -> list[dict[str, Any]]:
    """Every column of the window, the farthest first."""
    reference = seen.reference
    columns = Columns.fit(reference.rows, list(reference.card.classes))
    if span == Span():
        parts = iter([seen.rows])
    else:
        parts = (reference.rows_of(frame) for hour in seen.hours if span.holds(hour)
                 for frame in read_answers(hour, reference.card.version, seen.slots))
    window = columns.sketch(parts)
    return [] if window is None else [asdict(shift) for shift in columns.compare(window)]


def _classes(seen: Seen) -> list[dict[str, Any]]:
    """Shares of the answers, and accuracy on labels, by class."""
    reference = seen.reference
    total, window = reference.arrays["predicted"], max(1, seen.frame.height)
    if reference.accepted:
        total = np.bincount(reference.rows.predicted, minlength=len(reference.card.classes))
    recent = seen.labelled.tail(seen.frame.height)
    rows = []
    for number, name in enumerate(reference.card.classes):
        truths = recent.filter(truth=name)
        right = int((truths["label"] == name).sum())
        rows.append({
            "class": name, "reference": float(total[number] / max(1, total.sum())),
            "production": seen.frame.filter(label=name).height / window,
            "accuracy": right / truths.height if truths.height else "",
            "labels": truths.height})
    return rows


def _body(
    seen: Seen, found: DriftReport, decision: Decision, estimates: Sequence[Estimate],
    measured: Measured | None, pairs: Sequence[Pair], settings: DriftSettings,
) -> dict[str, Any]:
    accuracy: list[dict[str, Any]] = []
    if estimates:
        last = estimates[-1]
        accuracy += [
            {"how": "in its rollout" if seen.reference.accepted else "held-out images",
             "accuracy": last.held_out, "lower": "", "upper": "",
             "rows": 0 if seen.reference.right is None else len(seen.reference.right)},
            {"how": "estimated without labels, latest window", "accuracy": last.accuracy,
             "lower": "", "upper": "", "rows": last.rows}]
    if measured is not None:
        accuracy.append({
            "how": "late labels", "accuracy": measured.accuracy, "lower": measured.lower,
            "upper": measured.upper, "rows": measured.labels})
    return {
        "model_version": seen.reference.card.version, **asdict(found),
        "accepted_reference": seen.reference.accepted, "decision": asdict(decision),
        "alpha": settings.alpha, "alarm_at": 1 / settings.alpha,
        "window_size": settings.window_rows, "accuracy": accuracy, "classes": _classes(seen),
        "quality": describe_quality(seen.frame), "pairs": [pair.facts() for pair in pairs],
    }


def _publish(
    work: Workspace, seen: Seen, found: DriftReport, decision: Decision, pairs: list[Pair],
    body: dict[str, Any],
) -> None:
    summary, out = work.summary("drift_report"), work.out("drift_report")
    version = str(body["model_version"])
    summary.values |= {
        "verdict": found.verdict, "reason": found.reason, "window_rows": found.window_rows,
        "model_version": version, "reference_rows": found.reference_rows,
        "action": decision.action, "action_reason": decision.reason, "harm": decision.harm,
        # One episode: from the alarm of a model's trigger to its successor.
        "episode": f"{version[:12]}-{found.alarm_window}",
    }
    if found.evidence is not None:
        summary.values |= {"evidence": found.evidence, "windows": len(found.history)}
    for row in body["accuracy"]:
        summary.values[str(row["how"]).replace(" ", "_").replace(",", "")] = row["accuracy"]
    for name in ("signals", "columns", "classes", "accuracy", "quality"):
        summary.tables[name] = body[name]
    summary.tables["image_pairs"] = body["pairs"]
    summary.check("no_drift", passed=found.verdict in ("stable", "too-few"), blocking=False,
                  description=f"{found.verdict}: {found.reason}")
    if seen.frame.height:
        draw(summary, found, seen.reference.rows, seen.rows, body["classes"], body["alarm_at"])
    if pairs and (png := draw_pairs(pairs, work.read("training_shards"))):
        summary.add_picture("pairs", png)
    (out / REPORT_FILE).write_bytes(canonical_json(body))
    (out / PAGE_FILE).write_text(render(body, summary.pictures))
