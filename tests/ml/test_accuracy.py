"""Accuracy without labels, and evidence from labels that holds at every look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.accuracy import (
    Estimate,
    estimate,
    estimate_by_score,
    log_evidence,
    measure,
)
from mlops_assets.monitoring.policy import decide
from mlops_assets.monitoring.trigger.views import Rows

SETTINGS = DriftSettings()


def rows(confidence: NDArray[np.float64]) -> Rows:
    count = len(confidence)
    zeros = np.zeros(count, np.float32)
    return Rows(predicted=np.zeros(count, np.int64), confidence=confidence.astype(np.float32),
                projected=zeros[:, None], norm=zeros, probabilities=None, pixels={})


def test_estimate_follows_confidence() -> None:
    rng = np.random.default_rng(0)
    known = rng.beta(8, 1.5, 10_000)
    right = rng.uniform(size=10_000) < known
    same = estimate(rows(known), right, rows(rng.beta(8, 1.5, 5_000)))
    assert same.accuracy == pytest.approx(right.mean(), abs=0.02)
    worse = estimate(rows(known), right, rows(rng.beta(4, 1.5, 5_000)))
    assert worse.drop > 0.08


def test_estimate_is_the_mean_over_scores() -> None:
    """A window that only its distance tells from the held-out rows falls by a part of that."""
    rng = np.random.default_rng(5)
    known = rng.beta(8, 1.5, 4_000)
    right = rng.uniform(size=4_000) < known
    near = rng.normal(size=4_000).astype(np.float32)
    held = replace(rows(known), novelty={"class_distance": near})
    moved = replace(rows(known), novelty={"class_distance": near + 3})
    by_score = estimate_by_score(held, right, moved)
    assert by_score["confidence"] == pytest.approx(right.mean(), abs=1e-9)
    assert by_score["class_distance"] < 0.5
    mean = (by_score["confidence"] + by_score["class_distance"]) / 2
    assert estimate(held, right, moved).accuracy == pytest.approx(mean)


def test_labels_cry_wolf_at_most_with_their_chance() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        wrong = (rng.uniform(size=1500) < 0.1).astype(np.int64)
        looks = [log_evidence(wrong[:count], 0.1) for count in range(50, 1501, 50)]
        alarms += max(looks) >= np.log(20)
    # At most 5 %; betting is far below it.
    assert alarms <= 15


def test_a_drop_of_ten_points_is_certified_within_250_labels() -> None:
    rng = np.random.default_rng(2)
    needed = []
    for _ in range(100):
        wrong = (rng.uniform(size=1000) < 0.2).astype(np.int64)
        counts = range(10, 1001, 10)
        needed.append(next((count for count in counts
                            if log_evidence(wrong[:count], 0.12) >= np.log(100)), 1000))
    assert np.median(needed) <= 250, np.median(needed)


def test_evidence_from_labels_is_fair_where_the_error_is_what_is_allowed() -> None:
    """Its mean over all outcomes of 8 answers, each weighted with its probability, is 1."""
    outcomes = (np.arange(256)[:, None] >> np.arange(8)) & 1
    for allowed in (0.02, 0.3, 0.97):
        chance = np.where(outcomes == 1, allowed, 1 - allowed).prod(axis=1)
        mean = sum(share * np.exp(log_evidence(each, allowed))
                   for each, share in zip(outcomes, chance, strict=True))
        assert mean == pytest.approx(1.0, abs=1e-9)


def test_old_labels_do_not_hide_a_new_drop() -> None:
    rng = np.random.default_rng(3)
    wrong = np.concatenate([rng.uniform(size=3000) < 0.08, rng.uniform(size=600) < 0.3])
    assert log_evidence(wrong[:3000].astype(np.int64), 0.12) < np.log(2)
    assert log_evidence(wrong.astype(np.int64), 0.12) > np.log(200)


def held_out(share: float = 0.9) -> NDArray[np.bool_]:
    return np.arange(10_000) < share * 10_000


def test_policy_weighs_what_a_shift_costs() -> None:
    steady = [Estimate(0.895, 0.9, 200)] * 2
    fallen = [Estimate(0.8, 0.9, 200)] * 2
    once = [Estimate(0.9, 0.9, 200), Estimate(0.8, 0.9, 200)]
    assert decide("stable", steady, None, 0, SETTINGS).action == "none"
    assert decide("watch", fallen, None, 900, SETTINGS).action == "none"
    assert decide("drifted", steady, None, 900, SETTINGS).action == "look"
    assert decide("drifted", once, None, 900, SETTINGS).action == "look"
    assert decide("drifted", fallen, None, 10, SETTINGS).action == "label"
    assert decide("drifted", fallen, None, 900, SETTINGS).action == "retrain"
    assert decide("drifted", [Estimate(0.865, 0.9, 200)] * 2, None, 900, SETTINGS).action == "label"
    assert decide("drifted", [], None, 900, SETTINGS).action == "label"


def test_labels_have_the_last_word() -> None:
    rng = np.random.default_rng(4)
    fallen = [Estimate(0.7, 0.9, 200)] * 2
    fine = measure(rng.uniform(size=2000) < 0.9, held_out(), tolerance=0.02, alpha=0.01)
    assert decide("drifted", fallen, fine, 900, SETTINGS).action == "look"
    bad = measure(rng.uniform(size=1200) < 0.75, held_out(), tolerance=0.02, alpha=0.01)
    assert decide("stable", [Estimate(0.9, 0.9, 200)] * 2, bad, 900, SETTINGS).action == "retrain"
    assert measure([], held_out(), tolerance=0.02, alpha=0.01) is None
