"""Drift reports: the level of one look, and that shifts are seen and named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.drift import View, compare, holm
from mlops_assets.monitoring.sequential import fits, judge, reference_rows

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


def _reference(rng: np.random.Generator, rows: int) -> dict[str, NDArray[Any]]:
    return {
        "labels": rng.integers(0, 3, rows), "confidence": rng.uniform(0.4, 1, rows),
        "projected": rng.normal(size=(rows, 4)).astype(np.float32),
        "norm": rng.uniform(1, 2, rows), "pixel_mean": rng.normal(100, 10, rows),
        "pixel_std": rng.normal(50, 5, rows),
    }


def test_trigger_finds_a_shift_among_all_predictions_and_names_it() -> None:
    rng = np.random.default_rng(3)
    reference = _reference(rng, 1000)
    assert fits(reference, SETTINGS)
    clean, shifted = reference_rows(_reference(rng, 2000)), _reference(rng, 2600)
    report = judge(reference, clean, ["a", "b", "c"], SETTINGS)
    assert report.verdict == "stable"
    assert report.evidence is not None
    assert len(report.history) == 10
    shifted["pixel_mean"][2000:] += 10
    report = judge(reference, reference_rows(shifted), ["a", "b", "c"], SETTINGS)
    assert report.verdict == "drifted"
    assert report.alarm_window in (11, 12, 13)
    assert "differs in pixel mean: location" in report.reason
    assert report.signals[0].p_value < 1e-6


def test_trigger_waits_for_a_first_window() -> None:
    rng = np.random.default_rng(4)
    report = judge(_reference(rng, 1000), reference_rows(_reference(rng, 100)), ["a", "b", "c"],
                   SETTINGS)
    assert (report.verdict, report.signals) == ("too-few", [])


def test_small_reference_allows_one_look_only() -> None:
    rng = np.random.default_rng(5)
    assert not fits(_reference(rng, 700), SETTINGS)
    old = _reference(rng, 5000)
    del old["labels"]
    assert not fits(old, SETTINGS)
