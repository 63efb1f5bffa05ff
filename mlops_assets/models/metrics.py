"""Metrics of a classifier from its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
Labels = NDArray[np.int64]
CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Precision, recall and F1 of one class over ``rows`` images; 0 where undefined."""

    name: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per bin of confidence: mean ``confidence``, ``accuracy`` and ``rows``; and their ECE."""

    confidence: list[float]
    accuracy: list[float]
    rows: list[int]
    ece: float


def class_scores(confusion: NDArray[np.int64], names: Sequence[str]) -> list[ClassScore]:
    """Scores of each class from a confusion matrix."""
    scores = []
    for index, name in enumerate(names):
        hits = float(confusion[index, index])
        rows, called = float(confusion[index].sum()), float(confusion[:, index].sum())
        precision = hits / called if called else 0.0
        recall = hits / rows if rows else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        scores.append(ClassScore(name, int(rows), precision, recall, f1))
    return scores


def calibrate(probabilities: Probabilities, labels: Labels) -> Calibration:
    """Expected calibration error over 15 equal-width bins (Guo et al. 2017, arXiv:1706.04599).

    Args:
        probabilities: ``[N, K]``, rows sum to 1.
        labels: ``[N]`` indices.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)
    filled = rows > 0
    mean = np.bincount(bins, confidence, CALIBRATION_BINS)[filled] / rows[filled]
    right = np.bincount(bins, correct, CALIBRATION_BINS)[filled] / rows[filled]
    ece = float((np.abs(mean - right) * rows[filled]).sum() / max(1, len(labels)))
    return Calibration(mean.tolist(), right.tolist(), rows[filled].tolist(), ece)


def negative_log_likelihood(probabilities: Probabilities, labels: Labels) -> float:
    """Mean cross-entropy in nats; probabilities below 1e-12 count as that."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())
