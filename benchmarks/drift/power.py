"""Detection by number of rows: ours and peers, all at one false-alarm rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from benchmarks.drift.peers import Bbsds, Classifier, Mmd
from benchmarks.drift.scenes import Draw, Scene, Watched, to_window
from benchmarks.drift.shifts import SHIFTS
from mlops_assets.monitoring.trigger.look import Look

FALSE_ALARMS: Final = 0.05
SHARES: Final = (0.1, 0.5, 1.0)
OURS: Final = ("ours, all views", "ours, mean and deviation", "ours, model views")
PEERS: Final = ("BBSDs + KS", "MMD", "classifier")
Score = Callable[[Draw, np.random.Generator], float]


def make_watched(scene: Scene) -> dict[str, Watched]:
    """One a set of views."""
    return {
        OURS[0]: Watched.make(scene),
        OURS[1]: Watched.make(scene, journal=True),
        OURS[2]: Watched.make(scene, ("model",)),
    }


def make_scores(
    scene: Scene, watched: dict[str, Watched], rows: int, draws: int
) -> dict[str, Score]:
    """Every detector's score of a draw of ``rows`` rows."""
    softmax = scene.reference.rows.probabilities
    assert softmax is not None
    bbsds, mmd = Bbsds.fit(softmax), Mmd.fit(softmax)
    classifier = Classifier(scene.reference.embedding)

    def ours(each: Watched) -> Score:
        look = Look.fit(each.engine, to_window(each.grid, each.reference), rows, draws=draws)
        return lambda draw, _: look.score(to_window(each.grid, each.rows(draw)))

    def outputs(draw: Draw, name: str, rng: np.random.Generator) -> Any:
        found = np.concatenate([
            getattr(scene.production[change].rows, name)[chosen] if name != "embedding"
            else scene.production[change].embedding[chosen] for change, chosen in draw])
        return found[rng.permutation(len(found))]

    return {
        **{name: ours(each) for name, each in watched.items()},
        PEERS[0]: lambda draw, rng: bbsds.score(outputs(draw, "probabilities", rng)),
        PEERS[1]: lambda draw, rng: mmd.score(outputs(draw, "probabilities", rng)),
        PEERS[2]: lambda draw, rng: classifier.score(outputs(draw, "embedding", rng), rng),
    }


def measure(
    scene: Scene, watched: dict[str, Watched], rows: int, *, trials: int, clean: int
) -> list[dict[str, Any]]:
    """Share of trials that each detector finds, by shift and share of affected rows.

    A detector's threshold is the 95 % quantile of its scores on ``clean`` windows, which stand for
    a permutation test; the false-alarm rate is then measured on as many others.
    """
    rng = np.random.default_rng([rows, 5])
    scores = make_scores(scene, watched, rows, draws=min(400, 2 * clean))

    def collect(count: int, *what: Any) -> dict[str, Any]:
        draws = [scene.draw(*what, rows, rng) for _ in range(count)]
        return {name: np.array([score(draw, rng) for draw in draws])
                for name, score in scores.items()}

    known, fresh = collect(clean, None, 0.0), collect(clean, None, 0.0)
    limits = {name: float(np.quantile(known[name], 1 - FALSE_ALARMS)) for name in scores}

    def found(values: dict[str, Any]) -> dict[str, float]:
        return {name: float((values[name] > limits[name]).mean()) for name in scores}

    runs = [{"rows": rows, "shift": "none", "share": 0.0, "found": found(fresh)}]
    runs += [
        {"rows": rows, "shift": shift.name, "share": share,
         "found": found(collect(trials, shift, share))}
        for shift in SHIFTS for share in SHARES
    ]
    return runs
