"""How often the model is right in production: estimated without labels, certified with some.

Without labels: three estimates whose blind spots differ, and their mean; nothing is fitted on
shifts. Average thresholded confidence (ATC, Garg et al. 2022, *Leveraging Unlabeled Data to Predict
Out-of-Distribution Performance*) is the share of rows whose score lies above the threshold that as
many held-out rows exceed as the model had right. Its scores are confidence, the margin to the
second class, entropy and, where the reference has class centres, nearness to the answered class and
to the principal axes; the mean over them is one estimate. The others are two by confidence optimal
transport (see ``transport``), which see that a shift has made the model sure of a few classes.
Without probabilities the first counts alone.

With labels: a test by betting (Waudby-Smith & Ramdas 2024) that the error is at most what it was on
held-out rows plus a tolerance. Likelihood ratios of larger errors are mixed over how large the
error is and over where it began, so it may be asked after every label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.transport import Transport
from mlops_assets.monitoring.trigger.views import SMALLEST_SHARE, Rows

# Rises of the error above what is allowed, and the share of the stake that each has.
RISES: Final = {0.03: 0.1, 0.07: 0.7, 0.25: 0.2}
# Of alpha, what goes to the chance that the held-out error misled.
HELD_OUT_SHARE: Final = 0.2
FROM_THE_FIRST: Final = 0.75
BLOCK: Final = 50
CONFIDENCE: Final = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Accuracy of a window, without its labels, beside that of the held-out rows."""

    accuracy: float
    held_out: float
    rows: int

    @property
    def drop(self) -> float:
        """By how much accuracy is estimated to have fallen, 0 to 1."""
        return max(0.0, self.held_out - self.accuracy)


@dataclass(frozen=True, slots=True)
class Measured:
    """Accuracy on late labels, a Clopper-Pearson interval, and evidence of a rise in error.

    ``log_evidence`` is the logarithm of an e-value against "the error has risen by no more than
    the tolerance".
    """

    accuracy: float
    lower: float
    upper: float
    labels: int
    log_evidence: float


def scores(rows: Rows) -> dict[str, NDArray[np.float32]]:
    """What is higher the likelier a row is right: ``[N]`` by name."""
    found = {"confidence": rows.confidence.astype(np.float32)}
    if rows.probabilities is not None:
        first, second = np.partition(rows.probabilities, (-2, -1), axis=1)[:, :-3:-1].T
        logs = np.log(np.maximum(rows.probabilities, SMALLEST_SHARE))
        found |= {"margin": np.log(np.maximum(first, SMALLEST_SHARE)
                                   / np.maximum(second, SMALLEST_SHARE)),
                  "entropy": (rows.probabilities * logs).sum(axis=1)}
    return found | {name: -values for name, values in rows.novelty.items()}


def estimate_by_score(
    held_out: Rows, right: NDArray[np.bool_], window: Rows
) -> dict[str, float]:
    """A window's accuracy by each score; not clipped to 0 and 1."""
    base = float(right.mean())
    known, seen = scores(held_out), scores(window)
    found = {}
    for name, values in known.items():
        threshold = np.quantile(values, 1 - base) if base < 1 else -np.inf
        found[name] = (base + float((seen[name] >= threshold).mean())
                       - float((values >= threshold).mean()))
    return found


@dataclass(frozen=True, slots=True)
class Estimator:
    """Held-out rows of which it is known whether they are right, bool ``[N]``."""

    held_out: Rows
    right: NDArray[np.bool_]
    transport: Transport | None

    @classmethod
    def fit(cls, held_out: Rows, right: NDArray[np.bool_]) -> Estimator:
        """Without probabilities there is no transport."""
        known = held_out.probabilities is not None and len(right) > 0
        return cls(held_out, right, Transport.fit(held_out, right) if known else None)

    def by_method(self, window: Rows) -> dict[str, float]:
        """A window's accuracy by the mean of the ATCs and by each transport; not clipped."""
        scored = estimate_by_score(self.held_out, self.right, window)
        found = {"scores": float(np.mean(list(scored.values())))}
        return found | (self.transport.estimate(window) if self.transport is not None else {})

    def estimate(self, window: Rows) -> Estimate:
        """Accuracy of a window."""
        mean = float(np.clip(np.mean(list(self.by_method(window).values())), 0, 1))
        return Estimate(mean, float(self.right.mean()), len(window.predicted))


def estimate(held_out: Rows, right: NDArray[np.bool_], window: Rows) -> Estimate:
    """Accuracy of one window; ``Estimator`` is for several."""
    return Estimator.fit(held_out, right).estimate(window)


def measure(
    right: Sequence[bool] | NDArray[np.bool_], held_out: NDArray[np.bool_], *, tolerance: float,
    alpha: float,
) -> Measured | None:
    """Accuracy on labels in the order in which their predictions were made; None without any.

    Labels must not have been chosen by what the model answered. The held-out error enters by the
    upper end of its interval, so that the evidence holds at ``alpha`` with its error counted in
    when it is compared with ``needed_evidence``.
    """
    from scipy.stats import binomtest

    wrong = 1 - np.asarray(right, np.int64)
    if not len(wrong):
        return None
    interval = binomtest(int((wrong == 0).sum()), len(wrong)).proportion_ci(CONFIDENCE)
    allowed = allowed_error(held_out, tolerance=tolerance, alpha=alpha)
    return Measured(
        float((wrong == 0).mean()), float(interval.low), float(interval.high), len(wrong),
        log_evidence(wrong, allowed))


def allowed_error(held_out: NDArray[np.bool_], *, tolerance: float, alpha: float) -> float:
    """Upper end of the held-out error's one-sided interval, and the tolerance."""
    from scipy.stats import binomtest

    known = binomtest(int((~held_out).sum()), len(held_out), alternative="less")
    upper = float(known.proportion_ci(1 - HELD_OUT_SHARE * alpha).high)
    return min(0.999, upper + tolerance)


def needed_evidence(alpha: float) -> float:
    """Logarithm of the evidence that certifies a drop at ``alpha``, beside ``allowed_error``."""
    return -float(np.log((1 - HELD_OUT_SHARE) * alpha))


def log_evidence(wrong: NDArray[np.int64], allowed: float) -> float:
    """Logarithm of the e-value against "an answer is wrong with at most ``allowed``".

    Drops may have begun before the first label, which has the stake ``FROM_THE_FIRST``, or after
    any 50 answers, the k-th with weight 1 / (k (k + 1)) of the rest.
    """
    rises = np.array([rise for rise in RISES if allowed + rise < 1] or [(1 - allowed) / 2])
    stakes = np.array([RISES.get(rise, 1.0) for rise in rises.tolist()])
    larger = allowed + rises
    steps = np.where(wrong[:, None] == 1, np.log(larger / allowed),
                     np.log((1 - larger) / (1 - allowed)))
    total = np.concatenate([np.zeros((1, len(rises))), np.cumsum(steps, axis=0)])
    begun = np.arange(0, max(1, len(wrong)), BLOCK)
    number = np.arange(1, len(begun))
    later = 1 - FROM_THE_FIRST
    weights = np.concatenate([[FROM_THE_FIRST], later / (number * (number + 1))])
    logs = total[-1] - total[begun] + np.log(np.outer(weights, stakes / stakes.sum()))
    top = logs.max()
    # Beginnings that lie ahead still hold their stake.
    rest = later / len(begun)
    return float(np.logaddexp(top + np.log(np.exp(logs - top).sum()), np.log(rest)))
