"""The first drift report: its level on one look, and that it sees real shifts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.drift import View, compare, holm

SETTINGS = DriftSettings(alpha=0.05, watch_alpha=0.1)


def _view(rng: np.random.Generator, rows: int, shift: float = 0.0) -> View:
    signals: dict[str, NDArray[np.float32]] = {
        f"signal_{index}": (rng.normal(size=rows) + shift * (index == 0)).astype(np.float32)
        for index in range(6)
    }
    classes = rng.multinomial(rows, [0.1] * 10).astype(np.int64)
    return View(signals, classes)


def test_false_alarms_on_one_look_stay_within_alpha() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(
        compare(_view(rng, 2000), _view(rng, 300), SETTINGS).verdict == "drifted"
        for _ in range(300)
    )
    assert alarms <= 0.05 * 300 + 3 * np.sqrt(0.05 * 0.95 * 300)


def test_shift_is_found_and_named() -> None:
    rng = np.random.default_rng(1)
    report = compare(_view(rng, 2000), _view(rng, 300, shift=0.5), SETTINGS)
    assert report.verdict == "drifted"
    assert report.signals[0].name == "signal_0"


def test_few_predictions_give_no_verdict() -> None:
    rng = np.random.default_rng(2)
    assert compare(_view(rng, 500), _view(rng, 20), SETTINGS).verdict == "too-few"


def test_holm_by_hand() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03]))
    assert adjusted.tolist() == [0.03, 0.06, 0.06]
