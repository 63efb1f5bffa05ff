"""The gate on candidates that are trained: networks on scikit-learn's digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from mlops_assets.config import GateSettings
from mlops_assets.models.gate import GateReport, judge

# Ninety rows a class can not show two points.
SETTINGS = GateSettings(min_slice_rows=50, slice_margin=0.1)
INITIAL, DRIFTED = "batch initial", "batch drifted"
FORGOTTEN = 3

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@dataclass(frozen=True)
class Digits:
    """Float ``[N, 64]`` images to train on, and held-out ones before and after a drift."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]
    held: NDArray[np.float64]
    held_labels: NDArray[np.int64]
    drifted: NDArray[np.bool_]

    @property
    def slices(self) -> dict[str, NDArray[np.bool_]]:
        """As ``model_evaluation`` makes them."""
        classes = {f"class {each}": self.held_labels == each for each in range(10)}
        return classes | {INITIAL: ~self.drifted, DRIFTED: self.drifted}


@dataclass(frozen=True)
class World:
    """The digits, and what the champion gets right of the held-out ones."""

    digits: Digits
    champion: NDArray[np.bool_]

    def judge(self, candidate: NDArray[np.bool_]) -> GateReport:
        return judge(candidate, self.champion, self.digits.slices, SETTINGS, repairs=[DRIFTED])


def fit(digits: Digits, keep: NDArray[np.bool_], *, seed: int) -> NDArray[np.bool_]:
    """Train on some rows; the held-out rows that the network then gets right."""
    network = MLPClassifier((64,), max_iter=40, learning_rate_init=0.005, random_state=seed)
    network.fit(digits.images[keep], digits.labels[keep])
    return np.asarray(network.predict(digits.held) == digits.held_labels)


@pytest.fixture(scope="module")
def world() -> World:
    """The drift turns dark into bright. Of the training rows the last 400 are of after it."""
    images, labels = load_digits(return_X_y=True)
    images = images / 16
    train, held = images[::2], images[1::2]
    digits = Digits(
        np.concatenate([train, 1 - train[:400]]), np.concatenate([labels[::2], labels[::2][:400]]),
        np.concatenate([held, 1 - held[400:]]), np.concatenate([labels[1::2], labels[1::2][400:]]),
        np.arange(2 * len(held) - 400) >= len(held),
    )
    return World(digits, fit(digits, before(digits), seed=0))


def before(digits: Digits) -> NDArray[np.bool_]:
    """Training rows from before the drift."""
    return np.arange(len(digits.labels)) < len(digits.labels) - 400


def test_the_champion_has_learned_and_the_drift_harms_it(world: World) -> None:
    assert world.champion[~world.digits.drifted].mean() > 0.9
    assert world.champion[world.digits.drifted].mean() < 0.5


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_copy_of_another_seed_is_not_promoted(world: World, seed: int) -> None:
    report = judge(fit(world.digits, before(world.digits), seed=seed)[~world.digits.drifted],
                   world.champion[~world.digits.drifted], {}, SETTINGS)
    assert report.decision == "reject"
    assert report.reason.startswith("not better than the champion")


def test_the_champion_itself_is_not_promoted(world: World) -> None:
    assert world.judge(world.champion).decision == "reject"


def test_a_repair_of_the_drifted_batch_is_promoted(world: World) -> None:
    everything = np.ones(len(world.digits.labels), bool)
    report = world.judge(fit(world.digits, everything, seed=1))
    assert report.decision == "promote", report.reason
    assert DRIFTED in report.reason


def test_a_repair_that_has_forgotten_an_old_class_is_rejected(world: World) -> None:
    digits = world.digits
    few = np.arange(len(digits.labels)) % 20 == 0
    after = ~before(digits)
    report = world.judge(fit(digits, (digits.labels != FORGOTTEN) | few | after, seed=1))
    assert report.decision == "reject"
    assert report.reason.startswith("better ")
    assert f"worse on class {FORGOTTEN}" in report.reason


def test_too_few_rows_of_a_class_are_inconclusive(world: World) -> None:
    digits = world.digits
    repaired = fit(digits, np.ones(len(digits.labels), bool), seed=1)
    thin = np.flatnonzero((digits.held_labels == FORGOTTEN) & ~digits.drifted)[20:]
    kept = np.delete(np.arange(len(repaired)), thin)
    report = judge(repaired[kept], world.champion[kept],
                   {name: mask[kept] for name, mask in digits.slices.items()}, SETTINGS,
                   repairs=[DRIFTED])
    assert report.decision == "inconclusive"
    assert f"class {FORGOTTEN} (20 rows, about" in report.reason
