"""A drift report: recent predictions against what the model answered on held-out rows.

``compare`` looks once, at one window: two-sample Kolmogorov-Smirnov tests on confidence, pixel
statistics and principal components of the embedding, and a chi-square test of the predicted
classes, together under Holm's correction (Holm 1979). Its level holds for one look. It stands in
where the reference has too few rows for the trigger, whose budget holds over all looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings

Verdict = Literal["stable", "watch", "drifted", "too-few"]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """One side of the comparison.

    ``signals`` maps a name to one float32 value a row ``[N]``; ``classes`` are counts ``[K]`` of
    predicted classes.
    """

    signals: Mapping[str, Floats]
    classes: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Predictions seen."""
        return int(self.classes.sum())


@dataclass(frozen=True, slots=True)
class Signal:
    """One test: the statistic, its p-value and that after Holm's correction.

    Of the trigger alone: ``direction`` is the sign of the shift, ``since`` the window with which
    it seems to have begun, from 1.
    """

    name: str
    statistic: float
    p_value: float
    adjusted: float
    direction: int = 0
    since: int = 0


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The verdict, with the tests it rests on, most striking first.

    Of the trigger alone: ``evidence`` is the e-value of all signals, ``history`` its logarithm
    after each window, ``alarm_window`` the window that alarmed, from 1, or 0.
    """

    verdict: Verdict
    reason: str
    window_rows: int
    reference_rows: int
    signals: list[Signal]
    evidence: float | None = None
    alarm_window: int = 0
    history: list[float] = field(default_factory=list)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values; they keep the family-wise error."""
    order = np.argsort(p_values)
    steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def class_test(reference: NDArray[np.int64], window: NDArray[np.int64]) -> tuple[float, float]:
    """Chi-square statistic and p-value of two count vectors ``[K]``; classes in neither go."""
    from scipy.stats import chi2_contingency

    table = np.stack([reference, window])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    result = chi2_contingency(table)
    return float(result.statistic), float(result.pvalue)


def compare(reference: View, window: View, settings: DriftSettings) -> DriftReport:
    """Test a window against the reference."""
    from scipy.stats import ks_2samp

    if window.rows < settings.min_window:
        reason = f"{window.rows} predictions; a verdict needs {settings.min_window}"
        return DriftReport("too-few", reason, window.rows, reference.rows, [])
    found = {
        name: ks_2samp(values, window.signals[name], method="asymp")
        for name, values in reference.signals.items()
    }
    results = {name: (float(test.statistic), float(test.pvalue)) for name, test in found.items()}
    results["predicted_classes"] = class_test(reference.classes, window.classes)
    adjusted = holm(np.array([p_value for _, p_value in results.values()]))
    signals = sorted(
        (Signal(name, *test, float(corrected))
         for (name, test), corrected in zip(results.items(), adjusted, strict=True)),
        key=lambda signal: (signal.adjusted, -signal.statistic),
    )
    least = signals[0].adjusted
    verdict: Verdict = "stable"
    if least <= settings.alpha:
        verdict = "drifted"
    elif least <= settings.watch_alpha:
        verdict = "watch"
    striking = [signal.name for signal in signals if signal.adjusted <= settings.watch_alpha]
    reason = f"differs in {', '.join(striking[:5])}" if striking else "no signal differs"
    return DriftReport(verdict, reason, window.rows, reference.rows, signals)
