"""Build of ``model_evaluation``: scores on the test rows, and the gate against the champion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import GateSettings
from mlops_assets.contracts.confusion import confusion_matrix
from mlops_assets.contracts.files import EVALUATION_FILE
from mlops_assets.contracts.manifest import FEEDBACK_PREFIX
from mlops_assets.contracts.model_card import read_card
from mlops_assets.contracts.summary import Summary
from mlops_assets.features.shards import Shard, read_classes, read_shard
from mlops_assets.models import charts, metrics
from mlops_assets.models.gate import GateReport, judge
from mlops_assets.models.label_errors import Answered, list_suspects
from mlops_assets.models.programs import run_network, run_program
from mlops_assets.models.registration import CHAMPION_INPUT, CHAMPION_SHARDS
from mlops_assets.provenance.hashing import canonical_json
from resources.steps import Workspace

PREDICTIONS_FILE = "predictions.npz"


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model achieves on the test rows."""

    accuracy: float
    macro_f1: float
    ece: float
    nll: float
    rows: int


def build_evaluation(settings: GateSettings, work: Workspace, *, threads: int) -> None:
    """Fill ``model_evaluation``."""
    shards = work.read("training_shards")
    classes, test = read_classes(shards), read_shard(shards, "test")
    probabilities, _ = run_network(work.read("trained_model"), test.images, threads=threads)
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(test.labels, predicted, len(classes))
    per_class = metrics.class_scores(confusion, classes)
    calibration = metrics.calibrate(probabilities, test.labels)
    scores = Scores(
        accuracy=float((predicted == test.labels).mean()),
        macro_f1=float(np.mean([score.f1 for score in per_class])),
        ece=calibration.ece,
        nll=metrics.negative_log_likelihood(probabilities, test.labels),
        rows=len(test.labels),
    )
    champion = _champion_right(work, classes, test, threads=threads)
    report = judge(predicted == test.labels, champion, make_slices(test, classes), settings,
                   repairs=_repairs(work, test))
    out, summary = work.out("model_evaluation"), work.summary("model_evaluation")
    np.savez(out / PREDICTIONS_FILE, probabilities=probabilities, labels=test.labels,
             image_ids=test.image_ids.astype("S64"))
    (out / EVALUATION_FILE).write_bytes(canonical_json({
        "scores": asdict(scores), "gate": asdict(report),
        "classes": [asdict(score) for score in per_class], "calibration": asdict(calibration),
    }))
    summary.values |= {**{key: value for key, value in asdict(scores).items() if key != "rows"},
                       "test_rows": scores.rows, "gate": report.decision,
                       "gate_reason": report.reason}
    summary.tables["classes"] = [asdict(score) for score in per_class]
    summary.tables["gate_slices"] = [asdict(part) for part in report.slices]
    summary.add_picture("confusion_matrix", charts.draw_confusion(confusion, classes))
    summary.add_picture("f1_by_class", charts.draw_class_scores(per_class))
    summary.add_picture("calibration_plot", charts.draw_calibration(calibration))
    validation = read_shard(shards, "validation")
    known, _ = run_network(work.read("trained_model"), validation.images, threads=threads)
    list_suspects([Answered(test, probabilities), Answered(validation, known)], classes, out,
                  summary)
    majority = float(np.bincount(test.labels).max() / len(test.labels))
    _check(summary, scores, report, floor=max(settings.min_accuracy, majority))


def make_slices(shard: Shard, classes: list[str]) -> dict[str, NDArray[np.bool_]]:
    """Slice name to rows ``[N]`` bool: each class, and each batch if there are several."""
    slices = {f"class {name}": shard.labels == index for index, name in enumerate(classes)}
    batches = sorted(set(shard.batches.tolist()))
    if len(batches) > 1:
        slices |= {f"batch {name}": shard.batches == name for name in batches}
    return slices


def _repairs(work: Workspace, test: Shard) -> list[str]:
    """Slices that the candidate is to repair: batches from production that are new to it.

    Known before it answers: the champion has learnt from none of their images.
    """
    if CHAMPION_SHARDS not in work.pins:
        return []
    known = set(read_shard(work.read(CHAMPION_SHARDS), "train").batches.tolist())
    new = sorted(set(test.batches.tolist()) - known)
    return [f"batch {name}" for name in new if name.startswith(FEEDBACK_PREFIX)]


def _champion_right(
    work: Workspace, classes: list[str], test: Shard, *, threads: int
) -> NDArray[np.bool_] | None:
    """Test rows that the champion gets right; its classes are matched by name."""
    if CHAMPION_INPUT not in work.pins:
        return None
    folder: Path = work.read(CHAMPION_INPUT)
    card = read_card(folder)
    probabilities, _ = run_program(folder, test.images, threads=threads)
    names = np.array(card.classes)[probabilities.argmax(axis=1)]
    right: NDArray[np.bool_] = names == np.array(classes)[test.labels]
    return right


def _check(summary: Summary, scores: Scores, report: GateReport, *, floor: float) -> None:
    summary.check(
        "min_accuracy", passed=scores.accuracy > floor, accuracy=scores.accuracy, limit=floor,
        description=f"accuracy {scores.accuracy:.4f}; must be above {floor:.4f}",
    )
    summary.check("gate", passed=report.passed, description=report.reason,
                  decision=report.decision)
