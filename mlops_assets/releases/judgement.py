"""Whether a challenger may go a step up: compared with the champion while both serve.

What is known of a challenger counts for its whole rollout, from its first request as a shadow: at
1 % of the traffic alone nothing could be said for days. So that each step still shows what more
traffic does, a step also lasts for some time and some answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mlops_assets.config import RolloutSettings
from mlops_assets.releases.confidence_sequences import Counts, Interval, difference

# `wrong pairs` are answers of both models to the same images, `wrong` those to images of their own.
Metric = Literal["failed", "slow", "wrong", "wrong pairs"]
CLAIMS: Final[tuple[tuple[Metric, ...], ...]] = (("failed",), ("slow",), ("wrong", "wrong pairs"))
METRICS: Final = sum(len(claim) for claim in CLAIMS)
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


@dataclass(frozen=True, slots=True)
class Progress:
    """How long the present step has lasted, in seconds, and what the newer model answered in it."""

    seconds: float
    answers: int

    def waits(self, settings: RolloutSettings) -> list[str]:
        """What the step still lacks."""
        found = []
        if self.seconds < settings.step_seconds:
            found.append(f"{self.seconds:.0f} of {settings.step_seconds:g} s at this step")
        if self.answers < settings.step_answers:
            found.append(f"{self.answers} of {settings.step_answers} answers at this step")
        return found


def judge(
    evidence: Mapping[Metric, Compared], settings: RolloutSettings, progress: Progress
) -> Judgement:
    """Decide on one step from all that is known of a rollout so far; asked again at any time.

    ``alpha`` of the settings is the chance that a whole rollout ever decides wrongly: it is split
    over the metrics, each of which is one sequence from the first step to the last. A claim
    without evidence holds the step. Of two metrics for one claim either may support it: both
    intervals hold at once.
    """
    margins: dict[Metric, float] = {
        "failed": settings.failed_margin, "slow": settings.slow_margin,
        "wrong": settings.wrong_margin, "wrong pairs": settings.wrong_margin}
    alpha = settings.alpha / METRICS
    findings = {
        metric: Finding(metric, compared, difference(compared.challenger, compared.champion, alpha),
                        margins[metric])
        for metric, compared in evidence.items()
    }
    told = list(findings.values())
    worse = [str(finding) for finding in told if finding.worse]
    if worse:
        return Judgement("roll back", "; ".join(worse), told)
    waits = []
    for claim in CLAIMS:
        known = [findings[metric] for metric in claim if metric in findings]
        if not known:
            waits.append(f"{claim[0]}: nothing is known")
        elif not any(finding.fine for finding in known):
            waits += map(str, known)
    waits += progress.waits(settings)
    if waits:
        return Judgement("hold", "; ".join(waits), told)
    return Judgement("advance", "; ".join(map(str, told)), told)
