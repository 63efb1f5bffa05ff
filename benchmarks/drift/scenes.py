"""A reference, production under every shift, and windows drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.images import CLASSES, fashion, textures
from benchmarks.drift.model import Monitored
from benchmarks.drift.shifts import SHIFTS, Shift, change
from mlops_assets.monitoring.trigger.engine import Engine, Window
from mlops_assets.monitoring.trigger.sketches import Grid
from mlops_assets.monitoring.trigger.views import FAMILIES, Family, Matrix, Rows, Views

SOURCES: Final = {"fashion": fashion, "textures": textures}
CLEAN: Final = "clean"
JOURNAL: Final = ("pixel_mean", "pixel_std")
TRAINED, SCALED, REFERENCE, PRODUCTION = 12_000, 2_000, 8_000, 24_000
Draw = list[tuple[str, NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class Answers:
    """Rows and embeddings ``[N, 64]`` of the same images."""

    rows: Rows
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scene:
    """``scaled`` are held-out rows that views are fitted on; ``production`` is by change."""

    labels: NDArray[np.int64]
    scaled: Answers
    reference: Answers
    production: dict[str, Answers]
    accuracy: dict[str, float]

    @classmethod
    def make(cls, name: str, *, epochs: int) -> Scene:
        """Train on some images of a source and answer the others under every change."""
        images, labels = SOURCES[name](TRAINED + SCALED + REFERENCE + PRODUCTION)
        model = Monitored.train(images[:TRAINED], labels[:TRAINED], epochs)

        def answer(pixels: NDArray[np.uint8]) -> Answers:
            return Answers(*model.answer(pixels))

        start = TRAINED + SCALED + REFERENCE
        shown, truth = images[start:], labels[start:]
        names = dict.fromkeys(shift.change for shift in SHIFTS if shift.change)
        production = {CLEAN: answer(shown)} | {
            each: answer(change(each, shown, truth, model.network)) for each in names}
        accuracy = {each: float((found.rows.predicted == truth).mean())
                    for each, found in production.items()}
        return cls(truth, answer(images[TRAINED : TRAINED + SCALED]),
                   answer(images[TRAINED + SCALED : start]), production, accuracy)

    def draw(self, shift: Shift | None, share: float, rows: int, rng: np.random.Generator) -> Draw:
        """Which images a window holds, by change; without a shift, clean ones."""
        order = rng.permutation(len(self.labels))
        if shift is None:
            return [(CLEAN, order[:rows])]
        name = shift.change or CLEAN
        if shift.classes == "knock-out":
            kept = (self.labels[order] != 0) | (rng.random(len(order)) >= share)
            return [(name, order[kept][:rows])]
        if shift.classes == "only-zero":
            order = order[self.labels[order] == 0]
        chosen = order[:rows]
        changed = rng.random(len(chosen)) < share
        return [(name, chosen[changed]), (CLEAN, chosen[~changed])]


@dataclass(frozen=True, slots=True)
class Watched:
    """A scene through some views, with the engine that is fitted on its reference."""

    views: Views
    grid: Grid
    reference: Matrix
    engine: Engine
    production: dict[str, Matrix]

    @classmethod
    def make(
        cls, scene: Scene, families: tuple[Family, ...] = FAMILIES, *, journal: bool = False,
        window_rows: int = 200,
    ) -> Watched:
        """With ``journal``, of the pixel statistics only those that the journal keeps."""
        def part(rows: Rows) -> Rows:
            kept = {name: rows.pixels[name] for name in JOURNAL} if journal else rows.pixels
            return replace(rows, pixels=kept)

        views = Views.fit(part(scene.scaled.rows), families=families)
        reference = views.matrix(part(scene.reference.rows))
        grid = Grid.fit(reference.values)
        window = to_window(grid, reference)
        engine = Engine.fit(window, CLASSES, window_rows=window_rows, seed=0)
        production = {name: views.matrix(part(found.rows))
                      for name, found in scene.production.items()}
        return cls(views, grid, reference, engine, production)

    def rows(self, draw: Draw) -> Matrix:
        """The rows of a draw."""
        parts = [self.production[name].part(chosen) for name, chosen in draw]
        found = parts[0]
        for part in parts[1:]:
            found = found.join(part)
        return found


def to_window(grid: Grid, rows: Matrix) -> Window:
    """As the engine takes it, one stream."""
    return Window(grid.place(rows.values)[None], rows.maps[None], rows.predicted[None])
