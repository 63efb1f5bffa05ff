"""The kinds of planted candidates, and how often the gate promotes each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from scipy.stats import binomtest

from benchmarks.gate.planted import Slice, judge_pair
from mlops_assets.config import GateSettings

Classes = dict[str, Slice]
Plant = Callable[[Classes, Slice, int], tuple[Classes, Slice]]

SMALL_REPAIR: Final = 0.05
HARM: Final = 0.02
THIN: Final = 40
SCARCE: Final = 120


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to make candidates: on how many rows they and the champion disagree.

    ``accuracy`` and ``disagreement`` are by class on old rows; ``drifted`` is the champion's
    accuracy on the drifted batch, ``repair`` what a repair adds to it, with ``repair_disagreement``
    and, for a candidate that repairs nothing, ``drifted_disagreement``.
    """

    accuracy: Mapping[str, float]
    disagreement: Mapping[str, float]
    drifted: float
    repair: float
    repair_disagreement: float
    drifted_disagreement: float

    def classes(self, rows: int) -> Classes:
        """Old rows, ``rows`` a class, on which both are equally good."""
        return {name: Slice(rows, accuracy, self.disagreement[name])
                for name, accuracy in self.accuracy.items()}

    def batch(self, rows: int) -> Slice:
        """The drifted batch, on which both are equally good."""
        return Slice(rows, self.drifted, self.drifted_disagreement)

    def repaired(self, batch: Slice) -> Slice:
        """The drifted batch with a candidate that repairs it."""
        return replace(batch, difference=self.repair, disagreement=self.repair_disagreement)


def shift(classes: Classes, difference: float, *names: str) -> Classes:
    """A difference on some classes; all of them when none is named."""
    return {name: replace(each, difference=difference) if name in names or not names else each
            for name, each in classes.items()}


def shrink(classes: Classes, seed: int, rows: int, **changes: float) -> Classes:
    """One class, another with each seed, of few rows."""
    name = pick(classes, seed)
    return classes | {name: replace(classes[name], rows=rows, **changes)}


def pick(classes: Iterable[str], seed: int) -> str:
    """The class that is planted on, another with each seed."""
    names = list(classes)
    return names[seed % len(names)]


def make_kinds(setting: Setting) -> dict[str, Plant]:
    """Name to what it plants, from equally good classes, an equal batch and a seed."""
    repaired = setting.repaired
    return {
        "exact copy": lambda old, batch, _: (
            {name: replace(each, disagreement=0.0) for name, each in old.items()},
            replace(batch, disagreement=0.0)),
        "copy, other seed": lambda old, batch, _: (old, batch),
        "worse by 1 point everywhere": lambda old, batch, _: (
            shift(old, -0.01), replace(batch, difference=-0.01)),
        "repair, one old class 2 points worse": lambda old, batch, seed: (
            shift(old, -HARM, pick(old, seed)), repaired(batch)),
        "better by 1 point, one old class 2 points worse": lambda old, batch, seed: (
            shift(shift(old, 0.01), -HARM, pick(old, seed)), repaired(batch)),
        "repair": lambda old, batch, _: (old, repaired(batch)),
        "repair by 5 points": lambda old, batch, _: (old, replace(batch, difference=SMALL_REPAIR)),
        "better by 1 point everywhere": lambda old, batch, _: (
            shift(old, 0.01), replace(batch, difference=0.01)),
        f"repair, one class of {THIN} rows": lambda old, batch, seed: (
            shrink(old, seed, THIN), repaired(batch)),
        f"repair, one class of {SCARCE} rows 2 points worse": lambda old, batch, seed: (
            shrink(old, seed, SCARCE, difference=-HARM, disagreement=HARM), repaired(batch)),
    }


def interval(hits: int, seeds: int) -> tuple[float, float]:
    """The 95 % interval of a share (Clopper and Pearson 1934)."""
    found = binomtest(hits, seeds).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def run_kind(
    plant: Plant, setting: Setting, rows: int, drifted: int, seeds: int, settings: GateSettings
) -> dict[str, Any]:
    """Counts of each decision, of the verdicts on the planted class, and seeds."""
    counts = dict.fromkeys(("promote", "reject", "inconclusive"), 0)
    verdicts = dict.fromkeys(("better", "not worse", "worse", "inconclusive"), 0)
    for seed in range(seeds):
        old, batch = plant(setting.classes(rows), setting.batch(drifted), seed)
        report = judge_pair(old, batch, settings, seed=seed)
        counts[report.decision] += 1
        verdicts[next(part.verdict for part in report.slices
                      if part.slice == pick(old, seed))] += 1
    low, high = interval(counts["promote"], seeds)
    return {"seeds": seeds, **counts, "planted_class": verdicts, "low": low, "high": high}
