"""Whether a challenger may go a step up: compared with the champion while both serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.rollout import LADDER
from mlops_assets.releases.sequential import Counts, Interval, difference

Metric = Literal["failed", "slow", "wrong"]
Verdict = Literal["advance", "hold", "roll back"]


@dataclass(frozen=True, slots=True)
class Compared:
    """How often something bad happens: with the challenger, with the champion.

    For pairs, ``challenger`` counts where only the challenger was wrong, and ``champion`` where
    only the champion was.
    """

    challenger: Counts
    champion: Counts


@dataclass(frozen=True, slots=True)
class Finding:
    """One metric: the interval of challenger minus champion, and the margin that it is held to."""

    metric: Metric
    compared: Compared
    interval: Interval
    margin: float

    @property
    def worse(self) -> bool:
        """Certainly worse by more than the margin."""
        return self.interval.lower > self.margin

    @property
    def fine(self) -> bool:
        """Certainly not worse by more than the margin."""
        return self.interval.upper <= self.margin

    def __str__(self) -> str:
        found, margin = self.interval, self.margin
        state = "worse" if self.worse else "not worse" if self.fine else "not clear yet"
        return (f"{self.metric}: {found.lower:+.4f} to {found.upper:+.4f}, margin {margin:g}: "
                f"{state}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, one line that gives its reason, and what it rests on."""

    verdict: Verdict
    reason: str
    findings: list[Finding]


def judge(evidence: Mapping[Metric, Compared], settings: RolloutSettings) -> Judgement:
    """Decide on one step from all that is known of it so far; asked again at any time.

    ``alpha`` of the settings is the chance that a whole rollout ever decides wrongly: it is split
    over the steps and the metrics. A metric without evidence holds the step.
    """
    margins: dict[Metric, float] = {
        "failed": settings.failed_margin, "slow": settings.slow_margin,
        "wrong": settings.wrong_margin}
    alpha = settings.alpha / len(LADDER) / len(margins)
    findings = [
        Finding(metric, compared, difference(compared.challenger, compared.champion, alpha),
                margins[metric])
        for metric, compared in evidence.items()
    ]
    worse = [str(finding) for finding in findings if finding.worse]
    if worse:
        return Judgement("roll back", "; ".join(worse), findings)
    waits = [str(finding) for finding in findings if not finding.fine]
    waits += [f"{metric}: nothing is known" for metric in margins if metric not in evidence]
    if waits:
        return Judgement("hold", "; ".join(waits), findings)
    return Judgement("advance", "; ".join(map(str, findings)), findings)
