"""Accuracy of windows without labels, and how many labels certify that it fell.

A small network on Fashion-MNIST answers windows of 200, 500 and 1,000 images of which half or all
are shifted, and clean ones. Estimates: average thresholded confidence (ATC, Garg et al. 2022), the
lower of two ATCs (confidence, class distance), the mean of the ATCs of five scores (ours), and a
ridge regression on these five that is fitted on held-out images under the other families of shifts.
None of the first three is fitted on shifts, so each family is unseen to all. Errors are the mean
over families of the mean absolute error. "Harmful" windows lost 10 points or more, "harmless" ones
less than 2; either is counted where the estimate says 5 points or more. Ours was chosen with these
families in view. Labels are counted until the drift report would certify a drop from an error of
10 % on 10,000 held-out rows: the error of that held-out figure and a tolerance of 2 points are
counted in, and the chance of a false certificate is at most 1 %.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.drift.damage import FAMILIES, Shown
from benchmarks.drift.images import fashion
from benchmarks.drift.model import Monitored
from benchmarks.report import Report, Row, describe_machine, publish
from mlops_assets.monitoring.accuracy import (
    allowed_error,
    estimate,
    estimate_by_score,
    log_evidence,
    needed_evidence,
)
from mlops_assets.monitoring.trigger.views import Rows, join_rows

TRAINED, HELD_OUT, SHIFTED = 12_000, 10_000, 4_000
SIZES: Final = (200, 500, 1000)
OURS, RIDGE = "mean of five ATCs", "ridge, other families"
ESTIMATORS: Final = ("ATC", "lower of two ATCs", OURS, RIDGE)
HARMFUL, HARMLESS, ACTED_ON = 0.10, 0.02, 0.05
DROPS: Final = (0.06, 0.10, 0.15)
ERROR, TOLERANCE, ALPHA, MOST_LABELS = 0.10, 0.02, 0.01, 3000
Answered = tuple[Rows, NDArray[np.bool_]]
Window = tuple[dict[str, float], float]


@dataclass(frozen=True, slots=True)
class Scene:
    """Held-out and production rows, and whether each is right, clean and by family and severity."""

    held_out: Answered
    production: Answered
    known: dict[tuple[str, str], Answered]
    seen: dict[tuple[str, str], Answered]

    @classmethod
    def make(cls, epochs: int, rows: int) -> Scene:
        """Train, then answer images of both parts under every shift."""
        images, labels = fashion(TRAINED + 2 * HELD_OUT)
        model = Monitored.train(images[:TRAINED], labels[:TRAINED], epochs)
        parts: list[tuple[Answered, dict[tuple[str, str], Answered]]] = []
        for part, start in enumerate((TRAINED, TRAINED + HELD_OUT)):
            shown, truth = images[start : start + HELD_OUT], labels[start : start + HELD_OUT]
            found = {}
            for family, severities in FAMILIES.items():
                for name, damage in severities.items():
                    rng = np.random.default_rng([part, zlib.crc32(f"{family} {name}".encode())])
                    changed = damage(Shown(shown[:rows], truth[:rows], model.network, rng))
                    answered = model.answer(changed)[0]
                    found[family, name] = (answered, answered.predicted == truth[:rows])
            clean = model.answer(shown)[0]
            parts.append(((clean, clean.predicted == truth), found))
        return cls(parts[0][0], parts[1][0], parts[0][1], parts[1][1])

    def window(self, shifted: Answered | None, clean: Answered, rows: int, share: float,
               rng: np.random.Generator) -> Window:
        """ATC of each score and true accuracy of ``rows`` rows, a share of them shifted."""
        drawn = [(clean, rows)] if shifted is None else [
            (shifted, round(rows * share)), (clean, rows - round(rows * share))]
        parts, right = [], []
        for (answered, truth), count in drawn:
            chosen = rng.choice(len(truth), count, replace=False)
            parts.append(answered.part(chosen))
            right.append(truth[chosen])
        joined = join_rows(parts)
        found = estimate_by_score(*self.held_out, joined)
        found["ours"] = estimate(*self.held_out, joined).accuracy
        return found, float(np.concatenate(right).mean())


def fit_ridge(windows: list[Window]) -> Callable[[dict[str, float]], float]:
    """Logit accuracy on the ATCs of all scores, standardised."""
    inputs = np.array([_atcs(found) for found, _ in windows])
    accuracy = np.clip(np.array([right for _, right in windows]), 0.01, 0.99)
    target = np.log(accuracy / (1 - accuracy))
    center, scale = inputs.mean(axis=0), inputs.std(axis=0) + 1e-9
    scaled = (inputs - center) / scale
    square = scaled.T @ scaled + 0.01 * len(scaled) * np.eye(scaled.shape[1])
    weights = np.linalg.solve(square, scaled.T @ (target - target.mean()))

    def predict(found: dict[str, float]) -> float:
        logit = ((_atcs(found) - center) / scale) @ weights + target.mean()
        return float(1 / (1 + np.exp(-logit)))

    return predict


def _atcs(found: dict[str, float]) -> NDArray[np.float64]:
    return np.array([value for name, value in found.items() if name != "ours"])


def estimate_windows(scene: Scene, trials: int) -> list[dict[str, Any]]:
    """Every window of every family: its true accuracy, and what each estimator says."""
    rng = np.random.default_rng(1)
    train: dict[str, list[Window]] = {
        family: [scene.window(scene.known[family, name], scene.held_out, 500, share, rng)
                 for name in severities for share in (0.25, 0.5, 1.0) for _ in range(2)]
        for family, severities in FAMILIES.items()}
    train["clean"] = [scene.window(None, scene.held_out, 500, 0, rng) for _ in range(40)]
    runs = []
    for family, severities in {"clean": {"": None}, **FAMILIES}.items():
        ridge = fit_ridge([each for name, found in train.items() if name != family or
                           family == "clean" for each in found])
        for name in severities:
            shifted = scene.seen.get((family, name))
            for rows in SIZES:
                for share in (0.5, 1.0):
                    for _ in range(trials):
                        found, right = scene.window(shifted, scene.production, rows, share, rng)
                        lower = min(found["confidence"], found["class_distance"])
                        said = (found["confidence"], lower, found["ours"], ridge(found))
                        runs.append({
                            "family": family, "severity": name, "rows": rows, "share": share,
                            "accuracy": right, "estimates": dict(zip(
                                ESTIMATORS, np.clip(said, 0, 1).tolist(), strict=True))})
    return runs


def mean_error(runs: list[dict[str, Any]], estimator: str, family: str) -> float:
    """Mean absolute error over a family's windows."""
    return float(np.mean([abs(run["estimates"][estimator] - run["accuracy"]) for run in runs
                          if run["family"] == family]))


def acted_on(runs: list[dict[str, Any]], estimator: str, base: float, low: float,
             high: float) -> float:
    """Share of windows that lost ``low`` to ``high`` whose estimate says a new model is needed."""
    drops = [base - run["estimates"][estimator] for run in runs
             if low <= base - run["accuracy"] < high]
    return float(np.mean([drop >= ACTED_ON for drop in drops]))


def count_labels(drop: float, streams: int) -> list[int]:
    """Labels until the drop is certified, by stream, in steps of 5."""
    rng = np.random.default_rng([7, round(drop * 1000)])
    held_out = np.arange(HELD_OUT) >= ERROR * HELD_OUT
    allowed = allowed_error(held_out, tolerance=TOLERANCE, alpha=ALPHA)
    found = []
    for _ in range(streams):
        wrong = (rng.random(MOST_LABELS) < ERROR + drop).astype(np.int64)
        found.append(next(
            (count for count in range(5, MOST_LABELS, 5)
             if log_evidence(wrong[:count], allowed) >= needed_evidence(ALPHA)), MOST_LABELS))
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift.accuracy", description=__doc__)
    parser.add_argument("--trials", type=int, default=3, help="windows of each kind")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    trials, streams = (1, 20) if options.quick else (options.trials, options.streams)
    machine = describe_machine()
    torch.set_num_threads(1)
    scene = Scene.make(1 if options.quick else 3, 1000 if options.quick else SHIFTED)
    base = float(scene.held_out[1].mean())
    runs = estimate_windows(scene, trials)
    errors = {name: {family: mean_error(runs, name, family) for family in ("clean", *FAMILIES)}
              for name in ESTIMATORS}
    means = {name: float(np.mean([found[family] for family in FAMILIES]))
             for name, found in errors.items()}
    table: list[Row] = [{"mean error, family": family, **{
        name: f"{errors[name][family]:.3f}" for name in ESTIMATORS}}
        for family in ("clean", *FAMILIES)]
    table.append({"mean error, family": "mean over families",
                  **{name: f"{means[name]:.3f}" for name in ESTIMATORS}})
    for title, low, high in (("share of harmful windows acted on", HARMFUL, 1.0),
                             ("share of harmless windows acted on", -1.0, HARMLESS)):
        table.append({"mean error, family": title, **{
            name: f"{acted_on(runs, name, base, low, high):.3f}" for name in ESTIMATORS}})
    labels = {drop: count_labels(drop, streams) for drop in DROPS}
    needed: list[Row] = [
        {"accuracy falls by": f"{drop:.0%}", "labels, median": float(np.median(found)),
         "labels, 90 % of streams": float(np.quantile(found, 0.9))}
        for drop, found in labels.items()]
    summary = {
        "held_out_accuracy": base, "mean_error": means[OURS], "mean_error_atc": means["ATC"],
        "mean_error_lower_of_two": means["lower of two ATCs"], "mean_error_ridge": means[RIDGE],
        "harmful_acted_on": acted_on(runs, OURS, base, HARMFUL, 1.0),
        "harmless_acted_on": acted_on(runs, OURS, base, -1.0, HARMLESS),
        "labels_for_10_points": float(np.median(labels[0.10])),
        "labels_for_10_points_90_percent": float(np.quantile(labels[0.10], 0.9)),
    }
    publish(Report(
        name="drift_accuracy", command="python -m benchmarks.drift.accuracy", machine=machine,
        method=" ".join((__doc__ or "").split()) + f" {trials} windows a kind, {streams} streams.",
        summary=summary, table=table, more=[needed], runs=runs,
        limits={"mean_error": "<= 0.04", "labels_for_10_points": "<= 250"}, page="drift.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
