"""Accuracy without labels from the costs of a transport, under damage and under label shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mlops_assets.monitoring.accuracy import Estimator, estimate, estimate_by_score
from mlops_assets.monitoring.transport import Transport, transport_costs
from mlops_assets.monitoring.trigger.views import Rows

CLASSES, SPREAD = 4, 1.1


def answered(
    labels: NDArray[np.int64], rng: np.random.Generator, moved: float = 0.0
) -> tuple[Rows, NDArray[np.bool_]]:
    """Rows of a calibrated model of four normal classes, and which are right.

    ``moved`` shifts all of them towards class 0, and beside the plane of the classes.
    """
    centres = 2.2 * np.eye(CLASSES)
    points = centres[labels] + SPREAD * rng.normal(size=(len(labels), CLASSES))
    points[:, 0] += moved
    logits = points @ centres.T / SPREAD**2
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    beside = rng.normal(size=(len(labels), 2)) + moved
    rows = Rows(
        predicted=shares.argmax(axis=1), confidence=shares.max(axis=1),
        projected=np.concatenate([points, beside], axis=1).astype(np.float32),
        norm=np.linalg.norm(points, axis=1).astype(np.float32), probabilities=shares, pixels={},
        novelty={"class_distance": np.square(beside).sum(axis=1).astype(np.float32)})
    return rows, rows.predicted == labels


def balanced(count: int, seed: int, moved: float = 0.0) -> tuple[Rows, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    return answered(rng.integers(0, CLASSES, count), rng, moved)


def test_costs_are_those_of_the_best_assignment() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(5, 0.3), 400)
    shares = np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    given = np.repeat(np.arange(5), (shares * 400).round().astype(int))
    costs = 1 - probabilities[:, given]
    best = costs[linear_sum_assignment(costs)].mean()
    found = transport_costs(probabilities, shares)
    assert found.shape == (400,)
    assert found.mean() == pytest.approx(best, abs=0.01)
    assert ((found >= 0) & (found <= 1)).all()


def test_weights_of_rows_count_as_rows_that_come_again() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.full(3, 0.5), 60)
    shares = np.full(3, 1 / 3)
    twice = transport_costs(np.concatenate([probabilities, probabilities[:20]]), shares)
    weights = np.where(np.arange(60) < 20, 2.0, 1.0) / 80
    assert transport_costs(probabilities, shares, weights) == pytest.approx(twice[:60], abs=0.01)


def test_clean_windows_keep_their_accuracy() -> None:
    held, right = balanced(5000, 2)
    known = Estimator.fit(held, right)
    for seed in range(3, 8):
        window, truth = balanced(500, seed)
        assert known.estimate(window).accuracy == pytest.approx(truth.mean(), abs=0.04)


def test_a_model_that_became_sure_of_one_class_is_found_out() -> None:
    held, right = balanced(5000, 2)
    window, truth = balanced(1000, 3, moved=4.0)
    assert truth.mean() < 0.6
    assert estimate_by_score(held, right, window)["confidence"] > truth.mean() + 0.25
    found = Transport.fit(held, right).estimate(window)
    assert found["transport"] == pytest.approx(truth.mean(), abs=0.12)
    assert found["transport threshold"] < truth.mean() + 0.12


def test_where_only_class_shares_change_they_follow_the_answers() -> None:
    held, right = balanced(5000, 2)
    rng = np.random.default_rng(4)
    window, truth = answered(rng.choice(CLASSES, 1000, p=[0.85, 0.05, 0.05, 0.05]), rng)
    transport = Transport.fit(held, right)
    assert transport.weights(window)[held.predicted == 0].mean() > 2
    found = transport.estimate(window)
    assert found["transport"] == pytest.approx(truth.mean(), abs=0.06)
    assert found["transport threshold"] == pytest.approx(truth.mean(), abs=0.06)


def test_where_images_change_class_shares_do_not_follow() -> None:
    held, right = balanced(5000, 2)
    weights = Transport.fit(held, right).weights(balanced(1000, 3, moved=4.0)[0])
    assert weights == pytest.approx(1.0, abs=0.35)


def test_a_class_that_nothing_held_out_was_answered_with_changes_no_weight() -> None:
    held, right = balanced(2000, 2)
    kept = held.predicted != 3
    transport = Transport.fit(held.part(kept), right[kept])
    window = held.part(held.predicted == 3)
    assert transport.weights(window) == pytest.approx(1.0)
    assert np.isfinite(list(transport.estimate(window).values())).all()


def test_the_mean_counts_all_scores_once_and_each_transport() -> None:
    held, right = balanced(2000, 2)
    window, _ = balanced(1000, 3, moved=2.0)
    known = Estimator.fit(held, right)
    found = known.by_method(window)
    scored = estimate_by_score(held, right, window)
    assert set(found) == {"scores", "transport", "transport threshold"}
    assert found["scores"] == pytest.approx(np.mean(list(scored.values())))
    assert known.estimate(window).accuracy == pytest.approx(np.mean(list(found.values())))


def test_without_probabilities_scores_count_alone() -> None:
    held, right = balanced(2000, 2)
    held, window = replace(held, probabilities=None), replace(held, probabilities=None)
    assert set(Estimator.fit(held, right).by_method(window)) == {"scores"}
    with pytest.raises(ValueError, match="probabilities"):
        Transport.fit(held, right)


def test_one_window_and_several_are_estimated_alike() -> None:
    held, right = balanced(2000, 2)
    window, _ = balanced(300, 5)
    assert estimate(held, right, window) == Estimator.fit(held, right).estimate(window)
