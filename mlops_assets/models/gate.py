"""The gate: a candidate against the champion on the same rows, paired, slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from mlops_assets.config import GateSettings

SliceVerdict = Literal["better", "not worse", "worse", "inconclusive"]
Decision = Literal["first", "promote", "reject", "inconclusive"]
OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """Both models on one slice.

    ``difference`` is candidate minus champion accuracy with its bootstrap interval
    ``[lower, upper]``; ``p_better`` and ``p_worse`` are one-sided exact McNemar p-values.
    """

    slice: str
    rows: int
    candidate: float
    champion: float
    difference: float
    lower: float
    upper: float
    p_better: float
    p_worse: float
    verdict: SliceVerdict


@dataclass(frozen=True, slots=True)
class GateReport:
    """The decision, one line that gives its reason, and the comparisons it rests on."""

    decision: Decision
    reason: str
    slices: list[SliceComparison]

    @property
    def passed(self) -> bool:
        """Whether the candidate may go on."""
        return self.decision in ("first", "promote")


def mcnemar(gained: int, lost: int) -> tuple[float, float]:
    """One-sided exact McNemar p-values (better, worse): a binomial test of discordant pairs.

    McNemar 1947, doi:10.1007/BF02295996. ``gained`` counts rows that only the candidate gets
    right, ``lost`` those that only the champion does.
    """
    discordant = gained + lost
    if not discordant:
        return 1.0, 1.0
    better = binomtest(gained, discordant, 0.5, alternative="greater").pvalue
    worse = binomtest(lost, discordant, 0.5, alternative="greater").pvalue
    return float(better), float(worse)


def difference_interval(
    gained: int, lost: int, rows: int, *, alpha: float, rounds: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap interval of the paired accuracy difference, at level 1 - ``alpha``.

    A paired difference takes the values 1, -1 and 0, so resampling rows is drawing from a
    multinomial distribution.
    """
    shares = [gained / rows, lost / rows, (rows - gained - lost) / rows]
    draws = np.random.default_rng(seed).multinomial(rows, shares, size=rounds)
    lower, upper = np.quantile((draws[:, 0] - draws[:, 1]) / rows, [alpha / 2, 1 - alpha / 2])
    return float(lower), float(upper)


def compare_slice(
    name: str, candidate: NDArray[np.bool_], champion: NDArray[np.bool_],
    settings: GateSettings, *, seed: int = 0,
) -> SliceComparison:
    """Compare which rows each model gets right (``[N]`` bool, the same rows in the same order)."""
    rows = len(candidate)
    gained, lost = int((candidate & ~champion).sum()), int((champion & ~candidate).sum())
    better, worse = mcnemar(gained, lost)
    lower, upper = difference_interval(
        gained, lost, rows, alpha=settings.alpha, rounds=settings.bootstrap_rounds, seed=seed
    )
    difference = (gained - lost) / rows
    verdict: SliceVerdict
    if rows < settings.min_slice_rows:
        verdict = "inconclusive"
    elif better <= settings.alpha:
        verdict = "better"
    elif worse <= settings.alpha and difference < -settings.slice_margin:
        verdict = "worse"
    elif lower >= -settings.slice_margin:
        verdict = "not worse"
    else:
        verdict = "inconclusive"
    return SliceComparison(
        slice=name, rows=rows, candidate=float(candidate.mean()), champion=float(champion.mean()),
        difference=difference, lower=lower, upper=upper, p_better=better, p_worse=worse,
        verdict=verdict,
    )


def judge(
    candidate: NDArray[np.bool_], champion: NDArray[np.bool_] | None,
    slices: Mapping[str, NDArray[np.bool_]], settings: GateSettings,
) -> GateReport:
    """Decide on a candidate.

    It is promoted when it is better overall and ``not worse`` or ``better`` on every slice.

    Args:
        candidate: ``[N]`` bool, rows that the candidate gets right.
        champion: the same of the champion, or None when there is none.
        slices: name to ``[N]`` bool, the rows of each slice.
        settings: levels, margin and least rows.
    """
    if champion is None:
        accuracy = float(candidate.mean())
        return GateReport("first", f"the first model; accuracy {accuracy:.4f}", [])
    overall = compare_slice(OVERALL, candidate, champion, settings)
    parts = [
        compare_slice(name, candidate[mask], champion[mask], settings)
        for name, mask in slices.items() if mask.any()
    ]
    report = [overall, *parts]
    worse = [part.slice for part in parts if part.verdict == "worse"]
    unclear = [part.slice for part in parts if part.verdict == "inconclusive"]
    if overall.verdict != "better":
        reason = (f"not better than the champion overall: {overall.difference:+.4f} "
                  f"(McNemar p = {overall.p_better:.3g})")
        return GateReport("reject", reason, report)
    if worse:
        return GateReport("reject", f"worse on {', '.join(worse)}", report)
    if unclear:
        reason = f"better overall, but too few rows to say on {', '.join(unclear)}"
        return GateReport("inconclusive", reason, report)
    return GateReport("promote", f"better overall by {overall.difference:+.4f}, and not worse on "
                      f"any of {len(parts)} slices", report)


def judge_replacement(
    replacement: NDArray[np.bool_], original: NDArray[np.bool_],
    slices: Mapping[str, NDArray[np.bool_]], settings: GateSettings,
) -> GateReport:
    """Decide on another way to compute the same model, such as a quantized program.

    It need not be better, as it brings another gain: it is promoted when it is ``not worse`` or
    ``better`` overall and on every slice, by the margins of ``judge``.

    Args:
        replacement: ``[N]`` bool, rows that it gets right.
        original: the same of the program that it would replace.
        slices: name to ``[N]`` bool, the rows of each slice.
        settings: levels, margin and least rows.
    """
    report = [compare_slice(OVERALL, replacement, original, settings)] + [
        compare_slice(name, replacement[mask], original[mask], settings)
        for name, mask in slices.items() if mask.any()
    ]
    overall = report[0]
    cost = (f"accuracy {overall.difference:+.4f} ({overall.lower:+.4f} to {overall.upper:+.4f}) "
            f"over {overall.rows} rows")
    worse = [part.slice for part in report if part.verdict == "worse"]
    unclear = [part.slice for part in report if part.verdict == "inconclusive"]
    if worse:
        return GateReport("reject", f"{cost}; worse on {', '.join(worse)}", report)
    if unclear:
        return GateReport("inconclusive", f"{cost}; can not say on {', '.join(unclear)}", report)
    return GateReport("promote", f"{cost}; not worse on any of {len(report) - 1} slices", report)
