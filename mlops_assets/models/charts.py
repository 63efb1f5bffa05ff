"""Pictures of a training and its evaluation, as PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.models.metrics import Calibration, ClassScore
from mlops_assets.pictures import INK, MUTED, SERIES, new_figure, to_png


def draw_curves(history: Sequence[dict[str, Any]]) -> bytes:
    """Loss and validation accuracy by epoch."""
    figure, (left, right) = new_figure(8.0, 3.0, columns=2)
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["loss"] for row in history], color=SERIES[0], label="training")
    left.plot(epochs, [row["validation_loss"] for row in history], color=SERIES[1],
              label="validation")
    left.set_title("Loss", fontsize=10, loc="left")
    left.legend(fontsize=8, frameon=False, loc="upper right")
    right.plot(epochs, [row["accuracy"] for row in history], color=SERIES[2], marker="o",
               markersize=3)
    right.set_title("Validation accuracy", fontsize=10, loc="left")
    for axis in (left, right):
        axis.set_xlabel("epoch", fontsize=8)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(axis="y", color=MUTED, alpha=0.25)
    return to_png(figure)


def draw_confusion(confusion: NDArray[np.int64], names: Sequence[str]) -> bytes:
    """Confusion matrix, each row as shares of its label."""
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    side = max(4.2, min(9.0, 0.52 * len(names)))
    figure, axis = new_figure(side + 0.6, side)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=7)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set_xlabel("prediction", fontsize=8)
    axis.set_ylabel("label", fontsize=8)
    if len(names) <= 20:
        for row, column in np.argwhere(confusion > 0):
            colour = "white" if shares[row, column] > 0.5 else INK
            axis.text(column, row, str(confusion[row, column]), ha="center", va="center",
                      fontsize=6, color=colour)
    axis.set_title("Confusion matrix (test rows)", fontsize=10, loc="left")
    return to_png(figure)


def draw_calibration(calibration: Calibration) -> bytes:
    """Reliability diagram with the rows of each bin."""
    figure, axis = new_figure(4.6, 3.8)
    axis.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1, label="perfect")
    sizes = 12 + 120 * np.sqrt(np.array(calibration.rows) / max(calibration.rows))
    axis.plot(calibration.confidence, calibration.accuracy, color=SERIES[0], linewidth=1.2)
    axis.scatter(calibration.confidence, calibration.accuracy, s=sizes, color=SERIES[0],
                 alpha=0.7, label="model (area: rows)")
    axis.set_xlim(0, 1.02)
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("confidence", fontsize=8)
    axis.set_ylabel("accuracy", fontsize=8)
    axis.set_title(f"Calibration, ECE {calibration.ece:.4f}", fontsize=10, loc="left")
    axis.legend(fontsize=8, frameon=False, loc="upper left")
    return to_png(figure)


def draw_class_scores(scores: Sequence[ClassScore]) -> bytes:
    """F1 of every class, worst at the bottom."""
    ordered = sorted(scores, key=lambda score: score.f1)
    figure, axis = new_figure(5.4, max(2.4, 0.3 * len(ordered)))
    axis.barh([score.name for score in ordered], [score.f1 for score in ordered],
              color=SERIES[0], height=0.62)
    for position, score in enumerate(ordered):
        axis.text(score.f1 + 0.01, position, f"{score.f1:.3f}", va="center", fontsize=7, color=INK)
    axis.set_xlim(0, 1.1)
    axis.set_title("F1 by class (test rows)", fontsize=10, loc="left")
    return to_png(figure)
