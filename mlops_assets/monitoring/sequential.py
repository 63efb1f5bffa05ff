"""Every prediction of a model, judged by the trigger.

The trigger is run over all predictions from the first, at each report anew: its verdict is a
function of the predictions alone, and needs no state that a restart could lose or repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.drift import DriftReport, Signal
from mlops_assets.monitoring.trigger.engine import signal_names
from mlops_assets.monitoring.trigger.stream import Trigger
from mlops_assets.monitoring.trigger.views import Rows, Views

# Every fifth reference row fits the views; the test has the others.
SCALED: Final = 5
LEAST_WINDOWS: Final = 3
SHOWN: Final = 30
NAMED: Final = 5
LARGEST_LOG: Final = 300.0


def fits(arrays: Mapping[str, NDArray[Any]], settings: DriftSettings) -> bool:
    """Whether a reference has what the trigger needs: rows of answers, and enough of them."""
    if not {"labels", "norm"} <= set(arrays):
        return False
    left = len(arrays["labels"]) - len(arrays["labels"][::SCALED])
    return left >= LEAST_WINDOWS * settings.window_rows


def judge(
    arrays: Mapping[str, NDArray[Any]], production: Rows, classes: list[str],
    settings: DriftSettings,
) -> DriftReport:
    """Run the trigger over ``production``, in order of time; ``arrays`` is the model's reference.

    A signal's statistic is the logarithm of its e-value and its p-value the e-value's inverse,
    which holds however often one looks; ``adjusted`` counts in the signal's share of alpha.
    """
    reference = reference_rows(arrays)
    count = len(reference.predicted)
    if len(production.predicted) < settings.window_rows:
        reason = (f"{len(production.predicted)} predictions; a verdict needs "
                  f"{settings.window_rows}")
        return DriftReport("too-few", reason, len(production.predicted), count, [])
    scaled = np.arange(count) % SCALED == 0
    views = Views.fit(_part(reference, scaled))
    names = signal_names(
        views.names(classes, probabilities=False, components=reference.projected.shape[1]), classes)
    trigger = Trigger.fit(
        views.matrix(_part(reference, ~scaled)), names, len(classes), alpha=settings.alpha,
        watch_alpha=settings.watch_alpha, window_rows=settings.window_rows)
    verdict = trigger.update(views.matrix(production))
    share = dict(zip(names, trigger.engine.weights().tolist(), strict=True))
    signals = [
        Signal(each.name, each.log_evidence, _inverse(each.log_evidence),
               min(1.0, _inverse(each.log_evidence) / share[each.name]))
        for each in trigger.signals()[:SHOWN]
    ]
    striking = [each.name for each in signals if each.adjusted <= settings.watch_alpha]
    reason = "no signal differs"
    if verdict != "stable":
        reason = f"differs in {', '.join((striking or [signals[0].name])[:NAMED])}"
    return DriftReport(
        verdict, reason, len(production.predicted), count, signals,
        evidence=float(np.exp(min(trigger.log_evidence, LARGEST_LOG))),
        alarm_window=trigger.alarm_window, history=trigger.history.tolist())


def reference_rows(arrays: Mapping[str, NDArray[Any]]) -> Rows:
    """The rows of a model's reference."""
    return Rows(
        predicted=arrays["labels"].astype(np.int64), confidence=arrays["confidence"],
        projected=arrays["projected"], norm=arrays["norm"], probabilities=None,
        pixels={"pixel_mean": arrays["pixel_mean"], "pixel_std": arrays["pixel_std"]},
    )


def _part(rows: Rows, chosen: NDArray[np.bool_]) -> Rows:
    return Rows(
        predicted=rows.predicted[chosen], confidence=rows.confidence[chosen],
        projected=rows.projected[chosen], norm=rows.norm[chosen], probabilities=None,
        pixels={name: values[chosen] for name, values in rows.pixels.items()},
    )


def _inverse(log_evidence: float) -> float:
    return float(min(1.0, np.exp(-min(log_evidence, LARGEST_LOG))))
