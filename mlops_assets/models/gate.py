"""The gate: a candidate against the champion on the same rows, paired, slice by slice.

Two claims are tested, and a promotion needs both.

- Better where it should be: an exact McNemar test overall and on each slice that the candidate is
  meant to repair, by Holm's procedure. It is one-sided at half of alpha, as by a two-sided
  interval at 1 - alpha (ICH E9, section 5.5), so a model that is not better is promoted with
  probability at most alpha / 2.
- Not worse elsewhere: a score test of non-inferiority on every slice, each at level alpha. All
  must pass, so no correction is due (the intersection-union test of Berger 1982, Technometrics
  24:295). A model that is worse by the margin on any one slice is
  promoted with probability at most alpha.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtr, ndtri
from scipy.stats import binomtest

from mlops_assets.config import GateSettings

SliceVerdict = Literal["better", "not worse", "worse", "inconclusive"]
Decision = Literal["first", "promote", "reject", "inconclusive"]
OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class SliceComparison:
    """Both models on one slice.

    ``difference`` is candidate minus champion accuracy with its bootstrap interval
    ``[lower, upper]``, each bound one-sided at level alpha; ``p_better`` and ``p_worse`` are
    one-sided exact McNemar p-values. ``p_margin`` is the p-value of being worse by the margin or
    more, and ``discordant`` counts the rows that exactly one model gets right.
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
    p_margin: float
    discordant: int
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


def non_inferiority(gained: int, lost: int, rows: int, *, margin: float) -> float:
    """P-value of the hypothesis that the candidate is worse by ``margin`` or more.

    The score test for paired proportions (Tango 1998, Statistics in Medicine 17:891). Where hardly
    any row is discordant the normal distribution is too hopeful, so the result is never below the
    exact p-value at the corner of the hypothesis where every discordant row is a loss: then losses
    are binomial, and a slice of fewer than ``log(alpha) / log(1 - margin)`` rows can not pass.
    Counted over all outcomes, its level is at most 0.0523 for 100 to 1,000 rows, at alpha 0.05.
    """
    spread = margin * (1 + margin)
    linear = (gained + lost) * (1 + margin) + 2 * margin * (rows - gained)
    loss = (linear + math.sqrt(max(linear**2 - 8 * rows * lost * spread, 0.0))) / (4 * rows)
    variance = (2 * loss - spread) / rows
    if variance <= 0:
        return 1.0
    score = float(ndtr(-((gained - lost) / rows + margin) / math.sqrt(variance)))
    corner = float(bdtr(lost - gained, rows, margin)) if lost >= gained else 0.0
    return max(score, corner)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, valid together (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    adjusted, least = [0.0] * len(p_values), 0.0
    ranked = sorted(range(len(p_values)), key=lambda each: p_values[each])
    for rank, each in enumerate(ranked):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[each]))
        adjusted[each] = least
    return adjusted


def rows_needed(part: SliceComparison, settings: GateSettings, *, slices: int = 1) -> int:
    """Rows of a slice on which an equally good candidate is found ``not worse``.

    With probability 1 - alpha on ``slices`` such slices together, if as large a share of them is
    discordant (the sample size for paired proportions, Lu and Bean 1995, Statistics in Medicine
    14:1831).

    Raises:
        ValueError: the margin is 0, which no number of rows can show.
    """
    if not settings.slice_margin:
        raise ValueError("gate.slice_margin is 0: no number of rows can show that")
    reach = float(ndtri(settings.alpha) + ndtri(settings.alpha / slices)) / settings.slice_margin
    least = math.log(settings.alpha) / math.log1p(-min(settings.slice_margin, 0.5))
    discordant = max(part.discordant, 1) / part.rows
    return math.ceil(max(discordant * reach**2, least, settings.min_slice_rows))


def difference_interval(
    gained: int, lost: int, rows: int, *, alpha: float, rounds: int, seed: int
) -> tuple[float, float]:
    """Percentile bootstrap interval of the paired accuracy difference, at level 1 - ``alpha``.

    It is shown and decides nothing: without discordant rows it is ``[0, 0]`` however few they are.

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
        gained, lost, rows, alpha=2 * settings.alpha, rounds=settings.bootstrap_rounds, seed=seed,
    )
    margin = non_inferiority(gained, lost, rows, margin=settings.slice_margin)
    verdict: SliceVerdict
    if rows < settings.min_slice_rows:
        verdict = "inconclusive"
    elif better <= settings.alpha / 2:
        verdict = "better"
    elif margin <= settings.alpha:
        verdict = "not worse"
    elif worse <= settings.alpha:
        verdict = "worse"
    else:
        verdict = "inconclusive"
    return SliceComparison(
        slice=name, rows=rows, candidate=float(candidate.mean()), champion=float(champion.mean()),
        difference=(gained - lost) / rows, lower=lower, upper=upper, p_better=better,
        p_worse=worse, p_margin=margin, discordant=gained + lost, verdict=verdict,
    )


def judge(
    candidate: NDArray[np.bool_], champion: NDArray[np.bool_] | None,
    slices: Mapping[str, NDArray[np.bool_]], settings: GateSettings, *,
    repairs: Collection[str] = (),
) -> GateReport:
    """Decide on a candidate.

    It is promoted when it is better overall or on a slice that it is meant to repair, and ``not
    worse`` or ``better`` overall and on every slice.

    Rows of the repaired slices count there and overall only: all other slices are compared on the
    old rows, or a repair would hide what it costs them.

    Args:
        candidate: ``[N]`` bool, rows that the candidate gets right.
        champion: the same of the champion, or None when there is none.
        slices: name to ``[N]`` bool, the rows of each slice.
        settings: levels, margin and least rows.
        repairs: names of slices, such as the batch of the drift that led to the candidate. They
            are named before its answers are seen.

    Raises:
        KeyError: ``repairs`` names a slice that is not there.
    """
    if champion is None:
        accuracy = float(candidate.mean())
        return GateReport("first", f"the first model; accuracy {accuracy:.4f}", [])
    repaired = {name: slices[name] for name in repairs}
    old = ~np.logical_or.reduce([np.zeros(len(candidate), bool), *repaired.values()])
    masks = repaired | {name: mask & old for name, mask in slices.items() if name not in repaired}
    report = [compare_slice(OVERALL, candidate, champion, settings)] + [
        compare_slice(name, candidate[mask], champion[mask], settings)
        for name, mask in masks.items() if mask.any()
    ]
    aims = [part for part in report if part.slice == OVERALL or part.slice in repaired]
    adjusted = holm([part.p_better for part in aims])
    gains = [part for part, p in zip(aims, adjusted, strict=True) if p <= settings.alpha / 2]
    told = "; ".join(f"{part.slice} {part.difference:+.4f} (McNemar p = {p:.3g})"
                     for part, p in zip(aims, adjusted, strict=True))
    worse = [part.slice for part in report if part.verdict == "worse"]
    unclear = [part for part in report if part.verdict == "inconclusive"]
    if not gains:
        return GateReport("reject", f"not better than the champion: {told}", report)
    where = ", ".join(f"{part.slice} by {part.difference:+.4f}" for part in gains)
    if worse:
        return GateReport("reject", f"better {where}, but worse on {', '.join(worse)}", report)
    if unclear:
        reason = f"better {where}, but too few rows to say on {_thin(unclear, report, settings)}"
        return GateReport("inconclusive", reason, report)
    reason = f"better {where}, and not worse on any of {len(report) - 1} slices"
    return GateReport("promote", reason, report)


def _thin(
    unclear: list[SliceComparison], report: list[SliceComparison], settings: GateSettings
) -> str:
    """The slices on which nothing can be said, and how many rows would do."""
    if not settings.slice_margin:
        return ", ".join(part.slice for part in unclear)
    return ", ".join(
        f"{part.slice} ({part.rows:,} rows, about "
        f"{rows_needed(part, settings, slices=len(report)):,} would do)" for part in unclear
    )


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
