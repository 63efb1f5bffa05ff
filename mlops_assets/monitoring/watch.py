"""Every prediction of a model, judged by the trigger.

The verdict is a function of the reference and of all predictions from the first, so a restart can
lose or repeat nothing and a backfill replays. The trigger's state after each whole hour is kept
under a hash of all that it came from, and a report goes on from the latest that fits.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.drift import DriftReport, Signal
from mlops_assets.monitoring.log_rows import Hour
from mlops_assets.monitoring.reference import Reference
from mlops_assets.monitoring.trigger.engine import signal_names
from mlops_assets.monitoring.trigger.stream import Trigger
from mlops_assets.monitoring.trigger.views import Views
from mlops_assets.provenance.hashing import sha256_bytes, sha256_json, source_sha256
from resources.durable import write_bytes

# Every fifth reference row fits the views; the test has the others.
SCALED: Final = 5
LEAST_WINDOWS: Final = 3
SHOWN: Final = 30
NAMED: Final = 5
LARGEST_LOG: Final = 300.0
KEPT_STATES: Final = 4
SOURCES: Final = ("trigger", "reference.py", "watch.py")

Read = Callable[[Hour], Iterable[pl.DataFrame]]


def fits(reference: Reference, settings: DriftSettings) -> bool:
    """Whether the reference has enough rows for the trigger."""
    count = len(reference.rows.predicted)
    return count - len(range(0, count, SCALED)) >= LEAST_WINDOWS * settings.window_rows


def judge(
    reference: Reference, hours: Sequence[Hour], read: Read, settings: DriftSettings,
    states: Path | None = None,
) -> DriftReport:
    """Run the trigger over the hours, oldest first; ``states`` is where its states are kept.

    A signal's statistic is the logarithm of its e-value and its p-value the e-value's inverse,
    which holds however often one looks; ``adjusted`` counts in the signal's share of alpha.
    """
    views, trigger = begin(reference, settings)
    keys = _state_keys(trigger, hours, settings)
    done = 0
    if states is not None:
        for count in range(len(hours) - 1, 0, -1):
            path = states / f"{keys[count - 1]}.npz"
            if path.is_file():
                with np.load(path, allow_pickle=False) as kept:
                    trigger, done = Trigger.from_arrays(kept), count
                break
    for number in range(done, len(hours)):
        for frame in read(hours[number]):
            trigger.update(views.matrix(reference.rows_of(frame)))
        if states is not None and number < len(hours) - 1:
            _keep(states, keys[number], trigger)
    return report(trigger, reference, settings)


def begin(reference: Reference, settings: DriftSettings) -> tuple[Views, Trigger]:
    """The views and a trigger that has seen no prediction.

    Raises:
        ValueError: too few reference rows; see ``fits``.
    """
    rows, classes = reference.rows, list(reference.card.classes)
    scaled = np.arange(len(rows.predicted)) % SCALED == 0
    views = Views.fit(rows.part(scaled))
    names = signal_names(views.names(
        classes, probabilities=rows.probabilities is not None,
        components=rows.projected.shape[1]), classes)
    return views, Trigger.fit(
        views.matrix(rows.part(~scaled)), names, len(classes), alpha=settings.alpha,
        watch_alpha=settings.watch_alpha, window_rows=settings.window_rows)


def report(trigger: Trigger, reference: Reference, settings: DriftSettings) -> DriftReport:
    """What a trigger has found so far."""
    count = len(reference.rows.predicted)
    seen = trigger.engine.windows * trigger.engine.window_rows + len(trigger.waiting.predicted)
    if not trigger.engine.windows:
        reason = f"{seen} predictions; a verdict needs {settings.window_rows}"
        return DriftReport("too-few", reason, seen, count, [])
    share = dict(zip(trigger.names, trigger.engine.weights().tolist(), strict=True))
    signals = [
        Signal(each.name, each.log_evidence, _inverse(each.log_evidence),
               min(1.0, _inverse(each.log_evidence) / share[each.name]),
               direction=each.direction, since=each.since)
        for each in trigger.signals()[:SHOWN]
    ]
    striking = [each.name for each in signals if each.adjusted <= settings.watch_alpha]
    reason = "no signal differs"
    if trigger.verdict != "stable":
        reason = f"differs in {', '.join((striking or [signals[0].name])[:NAMED])}"
    return DriftReport(
        trigger.verdict, reason, seen, count, signals,
        evidence=float(np.exp(min(trigger.log_evidence, LARGEST_LOG))),
        alarm_window=trigger.alarm_window, history=trigger.history.tolist())


def _inverse(log_evidence: float) -> float:
    return float(min(1.0, np.exp(-min(log_evidence, LARGEST_LOG))))


def _state_keys(trigger: Trigger, hours: Sequence[Hour], settings: DriftSettings) -> list[str]:
    """Names of the states after each hour: by code, reference, settings and all hours before."""
    here = Path(__file__).parent
    key = sha256_json({
        "sources": source_sha256(here, SOURCES), "begun": sha256_bytes(_pack(trigger)),
        "settings": settings.model_dump(mode="json")})
    keys = []
    for hour in hours:
        key = sha256_json([key, hour.key, hour.version])
        keys.append(key)
    return keys


def _pack(trigger: Trigger) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(trigger.to_arrays())
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _keep(states: Path, key: str, trigger: Trigger) -> None:
    states.mkdir(parents=True, exist_ok=True)
    write_bytes(states / f"{key}.npz", _pack(trigger))
    oldest_last = sorted(states.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)[::-1]
    for path in oldest_last[KEPT_STATES:]:
        path.unlink(missing_ok=True)
