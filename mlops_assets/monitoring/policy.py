"""What a drift report asks for: nothing, somebody's look, labels, or a new model.

A new model costs labels, compute and the risk of a change; a shift that does not hurt is not worth
it. So a shift alone is a matter for who sends the images, and only one that costs accuracy, or
labels that say so themselves, retrain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlops_assets.config import DriftSettings
from mlops_assets.monitoring.accuracy import Estimate, Measured, needed_evidence
from mlops_assets.monitoring.drift import Verdict

Action = Literal["none", "look", "label", "retrain"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why; ``harm`` is by how much accuracy fell, as far as is known."""

    action: Action
    reason: str
    harm: float


def decide(
    verdict: Verdict, estimates: list[Estimate], measured: Measured | None, usable_labels: int,
    settings: DriftSettings,
) -> Decision:
    """Decide on one report.

    ``estimates`` are of the last two windows, none where accuracy can not be estimated;
    ``usable_labels`` counts labels whose image is kept, which a new model can learn from.
    """
    certified = measured is not None and (
        measured.log_evidence >= needed_evidence(settings.label_alpha))
    drop = min((each.drop for each in estimates), default=0.0)
    harm = drop
    if measured is not None and estimates:
        harm = max(0.0, estimates[-1].held_out - measured.accuracy)
    said = _say(estimates, measured)
    if not certified and verdict != "drifted":
        return Decision("none", f"{verdict}; {said}", harm)
    if not certified and _harmless(estimates, measured, drop, settings):
        return Decision("look", f"the images have changed, but not the accuracy; {said}", harm)
    hurts = certified or drop >= settings.retrain_drop
    if not hurts:
        return Decision("label", f"whether it hurts is not clear yet, label more; {said}", harm)
    why = "labels show more errors" if certified else "the images have changed and accuracy fell"
    if usable_labels < settings.min_labels:
        return Decision("label", f"{why}, but {usable_labels} images with labels are kept and "
                        f"{settings.min_labels} are needed; {said}", harm)
    return Decision("retrain", f"{why}; {said}; {usable_labels} images to learn from", harm)


def _harmless(
    estimates: list[Estimate], measured: Measured | None, drop: float, settings: DriftSettings
) -> bool:
    """Labels decide where there are enough of them, else the estimate."""
    if measured is not None and measured.labels >= settings.min_labels and estimates:
        return estimates[-1].held_out - measured.lower < settings.retrain_drop
    return bool(estimates) and drop < settings.harmless_drop


def _say(estimates: list[Estimate], measured: Measured | None) -> str:
    parts = []
    if estimates:
        last = estimates[-1]
        parts.append(f"accuracy estimated {last.accuracy:.3f}, was {last.held_out:.3f}")
    if measured is not None:
        parts.append(f"on {measured.labels} labels {measured.accuracy:.3f} "
                     f"({measured.lower:.3f} to {measured.upper:.3f})")
    return ", ".join(parts) or "accuracy is not known"
