"""Our own reference versions of published detectors: a score each, larger is more drifted.

*BBSDs* (Lipton et al. 2018; Rabanser et al. 2019): the smallest two-sample Kolmogorov-Smirnov
p-value of any softmax output, Bonferroni's factor being the same for all. *MMD* (Gretton et al.
2012): a Gaussian kernel of median width on the softmax outputs, as in Rabanser et al. *Classifier*
(Lopez-Paz & Oquab 2017): the held-out accuracy of a logistic regression that tells the embeddings
of window and reference apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Bbsds:
    """``reference`` softmax outputs, sorted by column."""

    reference: Values

    @classmethod
    def fit(cls, softmax: Values) -> Bbsds:
        return cls(np.sort(softmax, axis=0))

    def score(self, softmax: Values) -> float:
        window, rows = np.sort(softmax, axis=0), len(softmax)
        steps = np.arange(1, rows + 1) / rows
        largest = 0.0
        for reference, column in zip(self.reference.T, window.T, strict=True):
            upper = np.searchsorted(reference, column, side="right") / len(reference)
            lower = np.searchsorted(reference, column, side="left") / len(reference)
            largest = max(largest, float((steps - upper).max()),
                          float((lower - steps + 1 / rows).max()))
        return largest


@dataclass(frozen=True, slots=True)
class Mmd:
    """At most 1,000 rows of the reference and of a window."""

    reference: Values
    gamma: float
    within: float

    @classmethod
    def fit(cls, softmax: Values, limit: int = 1000) -> Mmd:
        reference = softmax[:limit]
        squared = _squared(reference, reference)
        gamma = 1.0 / max(float(np.median(squared[np.triu_indices(len(reference), 1)])), 1e-9)
        return cls(reference, gamma, _mean_off_diagonal(np.exp(-gamma * squared)))

    def score(self, softmax: Values) -> float:
        window = softmax[: len(self.reference)]
        own = _mean_off_diagonal(np.exp(-self.gamma * _squared(window, window)))
        across = float(np.exp(-self.gamma * _squared(window, self.reference)).mean())
        return own + self.within - 2 * across


def _squared(left: Values, right: Values) -> NDArray[np.float64]:
    found = (np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)[None, :]
             - 2 * left @ right.T)
    return np.maximum(found, 0.0)


def _mean_off_diagonal(kernel: NDArray[np.float64]) -> float:
    rows = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (rows * (rows - 1)))


@dataclass(frozen=True, slots=True)
class Classifier:
    """As many rows of the reference as the window has; half of both train, half judge."""

    reference: Values

    def score(self, embedding: Values, rng: np.random.Generator) -> float:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        rows = min(len(embedding), 1000)
        chosen = rng.choice(len(self.reference), rows, replace=False)
        window = embedding[rng.permutation(len(embedding))[:rows]]
        half = rows // 2
        both = [self.reference[chosen], window]
        target = np.repeat([0, 1], [half, half])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
        model.fit(np.concatenate([part[:half] for part in both]), target)
        judged = np.concatenate([part[half : 2 * half] for part in both])
        # The mean margin breaks ties between equal accuracies of small windows.
        margin = model.decision_function(judged) * (2 * target - 1)
        return float((margin > 0).mean() + 1e-3 * np.tanh(margin.mean()))
