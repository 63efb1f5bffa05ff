"""Accuracy without labels from what a window's probabilities cost when classes must keep shares.

A model that a shift makes sure of one class has high confidence in every row, but not all of its
rows can be of that class. Confidence optimal transport (COT, Lu et al. 2023, *Characterizing
Out-of-Distribution Error via Optimal Transport*) gives each row a class, so that each class has the
share that it had in held-out rows and the probabilities of the given classes are as large as can
be; one less such a probability is the row's cost. Accuracy has fallen by as much as the mean cost
has risen. COTT, of the same paper, takes the share of rows whose cost is below a threshold that as
many held-out rows stay under as were right.

Both take it that class shares have not changed. Where they have, held-out rows weighted by how
often each class is answered now look like the window (compare Lipton et al. 2018 on label shift);
where the images have changed, they do not. How much nearer the weighted rows are, as a mean
embedding of a kernel, decides how far the shares follow the answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.monitoring.trigger.views import Rows, Views

Floats = NDArray[np.float64]

# Rows share classes where the costs differ by less; see ``transport_costs``.
SOFTNESS: Final = 0.015
ROUNDS: Final = 80
CLOSE: Final = 4e-3
SMALLEST: Final = 1e-9
# Held-out rows that are given classes, at most.
MOST_ROWS: Final = 2500
# The share of a shift that answers explain counts with this power, so that half of it is nothing.
POWER: Final = 4


@dataclass(frozen=True, slots=True)
class Transport:
    """What is known of held-out rows, ``N`` of them, at most ``MOST_ROWS``.

    ``views`` and ``maps`` float32 ``[M, D]`` compare windows with all ``M`` held-out rows, of which
    ``answers`` int64 ``[M]`` are the predicted classes. ``chosen`` int64 ``[N]`` are the rows that
    are given classes, ``probabilities`` float64 ``[N, K]`` and ``right`` float64 ``[N]`` theirs.
    """

    views: Views
    maps: NDArray[np.float32]
    answers: NDArray[np.int64]
    chosen: NDArray[np.int64]
    probabilities: Floats
    right: Floats

    @classmethod
    def fit(cls, held_out: Rows, right: NDArray[np.bool_]) -> Transport:
        """From held-out rows and whether each is right.

        Raises:
            ValueError: rows without probabilities, here and in the other methods.
        """
        probabilities = _probabilities(held_out)
        views = Views.fit(held_out, families=("model",))
        count = len(held_out.predicted)
        chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(np.int64))
        return cls(views, views.matrix(held_out).maps, held_out.predicted, chosen,
                   probabilities[chosen],
                   right[chosen].astype(np.float64))

    def weights(self, window: Rows) -> Floats:
        """Of the ``M`` held-out rows, float64 ``[M]``: 1 where class shares have not changed."""
        classes = _probabilities(window).shape[1]
        known = np.bincount(self.answers, minlength=classes) / len(self.answers)
        now = np.bincount(window.predicted, minlength=classes) / len(window.predicted)
        moved = (now / np.maximum(known, SMALLEST))[self.answers]
        if moved.sum() <= 0:
            return np.ones(len(self.answers))
        maps = self.views.matrix(window).maps
        mean = maps.mean(axis=0, dtype=np.float64)
        noise = float(maps.var(axis=0).sum() / len(maps)
                      + self.maps.var(axis=0).sum() / len(self.maps))
        before = float(np.square(mean - self.maps.mean(axis=0, dtype=np.float64)).sum()) - noise
        after = float(np.square(mean - np.average(self.maps, axis=0, weights=moved)).sum()) - noise
        # What is no farther than chance brings it is not there to be explained.
        explained = 1 - max(after, 0.0) / before if before > noise / 2 else 0.0
        # Never all, so that no sample of the rows has no weight at all.
        share = float(np.clip(explained, 0, 0.999)) ** POWER
        return 1 - share + share * moved

    def estimate(self, window: Rows, weights: Floats | None = None) -> dict[str, float]:
        """A window's accuracy by COT and by COTT; not clipped to 0 and 1.

        ``weights`` of the held-out rows, ``[M]``, are those that the window asks for if not given.
        """
        weights = (self.weights(window) if weights is None else weights)[self.chosen]
        weights = weights / weights.sum()
        shares = weights @ self.probabilities
        accuracy = float(weights @ self.right)
        known = transport_costs(self.probabilities, shares, weights)
        costs = transport_costs(_probabilities(window), shares)
        order = np.argsort(known, kind="stable")
        place = np.searchsorted(np.cumsum(weights[order]), accuracy)
        threshold = known[order[min(int(place), len(order) - 1)]]
        return {"transport": accuracy - float(costs.mean() - weights @ known),
                "transport threshold": accuracy + float(
                    (costs <= threshold).mean() - weights @ (known <= threshold))}


def transport_costs(
    probabilities: Floats, shares: Floats, weights: Floats | None = None
) -> Floats:
    """Each row's cost ``[N]`` under the transport that costs least, 0 to 1.

    Classes are given in parts, by an entropic transport (Cuturi 2013): the logarithms of the
    classes' prices are moved until each class has its share, which needs no linear program.

    Args:
        probabilities: ``[N, K]``.
        shares: of the classes, ``[K]``; they sum to 1.
        weights: of the rows, ``[N]``, which sum to 1; all alike without.
    """
    count = len(probabilities)
    weights = np.full(count, 1 / count) if weights is None else weights
    scaled = (probabilities - 1) / SOFTNESS
    target = np.log(np.maximum(shares, SMALLEST))
    prices = np.zeros_like(target)
    given = np.zeros_like(scaled)
    for _ in range(ROUNDS):
        given = np.exp(scaled + prices - (scaled + prices).max(axis=1, keepdims=True))
        given /= given.sum(axis=1, keepdims=True)
        found = weights @ given
        if np.abs(found - shares).sum() < CLOSE:
            break
        prices += target - np.log(np.maximum(found, SMALLEST**2))
    return np.asarray((given * (1 - probabilities)).sum(axis=1))


def _probabilities(rows: Rows) -> Floats:
    if rows.probabilities is None:
        raise ValueError("a transport needs the probabilities of all classes")
    return rows.probabilities.astype(np.float64)
