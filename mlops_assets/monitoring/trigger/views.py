"""What is compared: a fixed matrix of columns from prediction rows.

Columns of the *model* view come from what the model answered, columns of the *pixels* view from the
image alone. Both are separable, since pixel statistics see some shifts that no model view can, and
hide others where images have a constant background. Label classifiers' outputs as a view: Lipton et
al. 2018; Rabanser, Günnemann & Lipton 2019 (*Failing Loudly*) compares views.

``Views.fit`` should see other rows than the reference of the test: what is fitted on a row makes
that row look more usual than a fresh one, a difference that the test would find in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Family = Literal["model", "pixels"]
FAMILIES: Final[tuple[Family, ...]] = ("model", "pixels")
SHOWN_CLASSES: Final = 20
COMPONENTS: Final = 16
MAPS: Final = 128
MEDIAN_ROWS: Final = 500
SMALLEST_SHARE: Final = 1e-6

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Predictions; ``N`` each.

    ``predicted`` int64 ``[N]``, ``confidence`` float32 ``[N]``, ``projected`` float32 ``[N, P]``
    (principal components of the embedding), ``norm`` float32 ``[N]`` (its length),
    ``probabilities`` float32 ``[N, K]`` where they are kept; ``pixels``, and ``novelty`` (how
    unlike the training images the model finds a row), float32 ``[N]`` by name.
    """

    predicted: NDArray[np.int64]
    confidence: Values
    projected: Values
    norm: Values
    probabilities: Values | None
    pixels: Mapping[str, Values]
    novelty: Mapping[str, Values] = field(default_factory=dict)


    def part(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Rows:
        """Some of the rows."""
        return Rows(
            predicted=self.predicted[chosen], confidence=self.confidence[chosen],
            projected=self.projected[chosen], norm=self.norm[chosen],
            probabilities=None if self.probabilities is None else self.probabilities[chosen],
            pixels={name: values[chosen] for name, values in self.pixels.items()},
            novelty={name: values[chosen] for name, values in self.novelty.items()},
        )


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Rows of several parts, which have the same columns."""
    first = parts[0]

    def join(*arrays: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate(arrays)

    return Rows(
        predicted=join(*(each.predicted for each in parts)),
        confidence=join(*(each.confidence for each in parts)),
        projected=join(*(each.projected for each in parts)),
        norm=join(*(each.norm for each in parts)),
        probabilities=None if first.probabilities is None else join(
            *(each.probabilities for each in parts if each.probabilities is not None)),
        pixels={name: join(*(each.pixels[name] for each in parts)) for name in first.pixels},
        novelty={name: join(*(each.novelty[name] for each in parts)) for name in first.novelty},
    )


@dataclass(frozen=True, slots=True)
class Matrix:
    """``values`` float32 ``[N, F]``, ``maps`` float32 ``[N, M]``, ``predicted`` int64 ``[N]``."""

    values: Values
    maps: Values
    predicted: NDArray[np.int64]

    def part(self, rows: slice | NDArray[np.int64]) -> Matrix:
        """Some of the rows."""
        return Matrix(self.values[rows], self.maps[rows], self.predicted[rows])

    def join(self, other: Matrix) -> Matrix:
        """These rows, then the other's."""
        return Matrix(np.concatenate([self.values, other.values]),
                      np.concatenate([self.maps, other.maps]),
                      np.concatenate([self.predicted, other.predicted]))


@dataclass(frozen=True, slots=True)
class Views:
    """How rows become columns, fitted on held-out rows.

    ``shown`` int64 are the classes with a column of their own; ``center`` and ``scale`` float32
    ``[D]`` and ``directions`` float32 ``[D, M]``, ``phases`` float32 ``[M]`` make the random
    features.
    """

    families: tuple[Family, ...]
    pixels: tuple[str, ...]
    novelty: tuple[str, ...]
    shown: NDArray[np.int64]
    center: Values
    scale: Values
    directions: Values
    phases: Values

    @classmethod
    def fit(
        cls, reference: Rows, *, families: tuple[Family, ...] = FAMILIES, seed: int = 0
    ) -> Views:
        """For rows like the reference's; the kernel's width is the median distance."""
        counts = np.bincount(reference.predicted)
        shown = np.sort(np.argsort(-counts, kind="stable")[:SHOWN_CLASSES]).astype(np.int64)
        pixels = tuple(reference.pixels) if "pixels" in families else ()
        novelty = tuple(reference.novelty) if "model" in families else ()
        empty = np.zeros(0, np.float32)
        draft = cls(families, pixels, novelty, shown, empty, empty, empty, empty)
        inputs = draft._kernel_inputs(reference)
        center, scale = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
        rng = np.random.default_rng([seed, 1])
        some = (inputs[rng.permutation(len(inputs))[:MEDIAN_ROWS]] - center) / scale
        squares = np.square(some).sum(axis=1)
        squared = squares[:, None] + squares[None, :] - 2 * some @ some.T
        width = float(np.sqrt(max(np.median(squared[np.triu_indices(len(some), 1)]), 1e-6)))
        directions = rng.standard_normal((inputs.shape[1], MAPS)) / width
        return cls(families, pixels, novelty, shown, center.astype(np.float32),
                   scale.astype(np.float32), directions.astype(np.float32),
                   rng.uniform(0, 2 * np.pi, MAPS).astype(np.float32))

    def names(self, classes: list[str], *, probabilities: bool, components: int) -> list[str]:
        """Names of the columns of ``matrix``."""
        found: list[str] = []
        if "model" in self.families:
            if probabilities:
                found += [f"probability of {classes[index]}" for index in self.shown]
                found += ["entropy"]
            found += ["confidence", "embedding norm", "embedding distance"]
            found += [f"embedding {index + 1}" for index in range(min(components, COMPONENTS))]
        return [*found, *(name.replace("_", " ") for name in (*self.novelty, *self.pixels))]

    def matrix(self, rows: Rows) -> Matrix:
        """Columns and random features of rows."""
        inputs = (self._kernel_inputs(rows) - self.center) / self.scale
        maps = np.cos(inputs @ self.directions + self.phases)
        columns = [*self._model_columns(rows, inputs)] if "model" in self.families else []
        columns += [rows.novelty[name][:, None] for name in self.novelty]
        columns += [rows.pixels[name][:, None] for name in self.pixels]
        values = np.concatenate(columns, axis=1).astype(np.float32)
        return Matrix(values, maps.astype(np.float32), rows.predicted)

    def _kernel_inputs(self, rows: Rows) -> Values:
        if "model" in self.families:
            return rows.projected[:, :COMPONENTS]
        return np.stack([rows.pixels[name] for name in self.pixels], axis=1)

    def _model_columns(self, rows: Rows, inputs: Values) -> list[Values]:
        found: list[Values] = []
        if rows.probabilities is not None:
            logs = np.log(rows.probabilities + SMALLEST_SHARE)
            entropy = -(rows.probabilities * logs).sum(axis=1, keepdims=True)
            found += [logs[:, self.shown], np.log(np.maximum(entropy, SMALLEST_SHARE))]
        unsure = np.log(1.0 + SMALLEST_SHARE - rows.confidence)
        distance = np.square(inputs).sum(axis=1)
        return [*found, -unsure[:, None], rows.norm[:, None], np.log(distance + 1e-6)[:, None],
                rows.projected[:, :COMPONENTS]]
