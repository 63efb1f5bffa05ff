"""The gate: better models pass, equal and worse ones do not, thin slices are inconclusive."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.config import GateSettings
from mlops_assets.contracts.confusion import confusion_matrix
from mlops_assets.models.gate import compare_slice, difference_interval, judge, mcnemar
from mlops_assets.models.metrics import calibrate, class_scores

SETTINGS = GateSettings(bootstrap_rounds=200)


def _right(rng: np.random.Generator, rows: int, accuracy: float) -> np.ndarray:
    return rng.random(rows) < accuracy


def test_mcnemar_is_exact() -> None:
    better, worse = mcnemar(gained=8, lost=2)
    assert better == pytest.approx(56 / 1024)
    assert worse == pytest.approx(1013 / 1024)
    assert mcnemar(0, 0) == (1.0, 1.0)


def test_bootstrap_interval_covers_the_true_difference() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        gained, lost, _ = rng.multinomial(1000, [0.06, 0.04, 0.9])
        low, high = difference_interval(gained, lost, 1000, alpha=0.05, rounds=400, seed=seed)
        covered += low <= 0.02 <= high
    assert covered >= 180


def test_equal_model_is_promoted_in_at_most_five_percent() -> None:
    rng = np.random.default_rng(1)
    promoted = 0
    for _ in range(400):
        base = _right(rng, 2000, 0.9)
        changed = rng.random(2000) < 0.05
        candidate = np.where(changed, _right(rng, 2000, 0.9), base)
        champion = np.where(changed, _right(rng, 2000, 0.9), base)
        promoted += judge(candidate, champion, {}, SETTINGS).passed
    assert promoted <= 0.05 * 400 + 3 * np.sqrt(0.05 * 0.95 * 400)


def test_better_model_is_promoted() -> None:
    rng = np.random.default_rng(2)
    champion = _right(rng, 5000, 0.85)
    candidate = champion | (rng.random(5000) < 0.3)
    half = np.arange(5000) < 2500
    report = judge(candidate, champion, {"left": half, "right": ~half}, SETTINGS)
    assert report.decision == "promote"
    assert [part.slice for part in report.slices] == ["overall", "left", "right"]


def test_model_that_is_better_overall_but_worse_on_a_slice_is_rejected() -> None:
    rng = np.random.default_rng(3)
    champion = _right(rng, 5000, 0.8)
    weak = np.arange(5000) < 500
    candidate = np.where(weak, champion & (rng.random(5000) < 0.7), champion | True)
    report = judge(candidate, champion, {"weak": weak, "rest": ~weak}, SETTINGS)
    assert report.decision == "reject"
    assert "weak" in report.reason


def test_thin_slice_is_inconclusive_and_does_not_pass() -> None:
    rng = np.random.default_rng(4)
    champion = _right(rng, 3000, 0.8)
    thin = np.arange(3000) < SETTINGS.min_slice_rows - 1
    report = judge(champion | (rng.random(3000) < 0.5), champion, {"thin": thin}, SETTINGS)
    assert report.decision == "inconclusive"
    assert not report.passed


def test_first_model_passes_without_a_champion() -> None:
    assert judge(np.array([True, False]), None, {}, SETTINGS).decision == "first"


def test_slice_far_below_is_worse() -> None:
    champion = np.ones(400, bool)
    candidate = np.arange(400) >= 40
    assert compare_slice("all", candidate, champion, SETTINGS).verdict == "worse"


def test_calibration_of_a_perfectly_calibrated_model_is_near_zero() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.5, 1, 50_000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1).astype(np.float32)
    labels = (rng.random(50_000) > confidence).astype(np.int64)
    assert calibrate(probabilities, labels).ece < 0.01


def test_class_scores_match_scikit_learn() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(6)
    labels, predicted = rng.integers(0, 4, (2, 500))
    scores = class_scores(confusion_matrix(labels, predicted, 4), list("abcd"))
    theirs = precision_recall_fscore_support(labels, predicted)
    assert [score.f1 for score in scores] == pytest.approx(theirs[2].tolist())
