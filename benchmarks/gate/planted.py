"""Champion and candidate drawn from probabilities, with a planted difference on each slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.config import GateSettings
from mlops_assets.models.gate import GateReport, judge

DRIFTED: Final = "batch drifted"
INITIAL: Final = "batch initial"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows of one kind: the champion's accuracy, and how the candidate differs from it.

    ``disagreement`` is the share of rows that exactly one of the two gets right; ``difference``
    is candidate minus champion accuracy, so the disagreement is at least as large.
    """

    rows: int
    accuracy: float
    disagreement: float
    difference: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[Mask, Mask]:
        """Rows that the candidate and that the champion get right, bool ``[rows]`` each."""
        disagreement = max(self.disagreement, abs(self.difference))
        gained = min((disagreement + self.difference) / 2, 1 - self.accuracy)
        lost = min(gained - self.difference, self.accuracy)
        shares = np.clip([gained, lost, self.accuracy - lost, 1 - self.accuracy - gained], 0, 1)
        counts = rng.multinomial(self.rows, shares / shares.sum())
        candidate = np.repeat([True, False, True, False], counts)
        champion = np.repeat([False, True, True, False], counts)
        return candidate, champion


def draw_pair(
    classes: Mapping[str, Slice], drifted: Slice, rng: np.random.Generator
) -> tuple[Mask, Mask, dict[str, Mask]]:
    """Candidate, champion and slices: old rows of each class, then a drifted batch of them all."""
    parts = [each.draw(rng) for each in (*classes.values(), drifted)]
    candidate, champion = (np.concatenate(side) for side in zip(*parts, strict=True))
    old = np.repeat(np.arange(len(classes)), [each.rows for each in classes.values()])
    labels = np.concatenate([old, rng.integers(0, len(classes), drifted.rows)])
    batch = np.arange(len(labels)) >= len(old)
    slices = {name: labels == index for index, name in enumerate(classes)}
    return candidate, champion, slices | {INITIAL: ~batch, DRIFTED: batch}


def judge_pair(
    classes: Mapping[str, Slice], drifted: Slice, settings: GateSettings, *, seed: int
) -> GateReport:
    """What the gate says of one drawn pair, the candidate being meant to repair the drift."""
    candidate, champion, slices = draw_pair(classes, drifted, np.random.default_rng(seed))
    return judge(candidate, champion, slices, settings, repairs=[DRIFTED])
