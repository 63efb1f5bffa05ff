"""False alarms of the drift trigger over a whole production year in which nothing drifts.

A year has 8,760 looks, one an hour; an hour brings a batch of 1 to 10,000 rows, whose size n has a
probability proportional to n ** -1.5 (mean 75, so about 660,000 rows a year). A row has eight
columns (four of them correlated, one log-normal, one half zeros, two of a heavy-tailed mixture),
sixteen random features of them and one of six predicted classes. Half of the streams have a
reference of 2,000 rows, half of 10,000, from the same distribution and drawn anew for each stream.
The rows go through the trigger's own engine (cells, ranks, joint statistics, evidence), which runs
the streams side by side.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Report, describe_machine, publish
from mlops_assets.monitoring.trigger.engine import Engine, Window
from mlops_assets.monitoring.trigger.sketches import Grid
from mlops_assets.monitoring.trigger.stream import WINDOW_ROWS

ALPHA: Final = 0.01
LOOKS: Final = 365 * 24
BATCH: Final = 10_000
REFERENCES: Final = (2_000, 10_000)
COLUMNS: Final = 8
MAPS: Final = 16
CLASSES: Final = np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03])
TOGETHER: Final = 50


@dataclass(frozen=True, slots=True)
class World:
    """A distribution that does not change."""

    mixing: NDArray[np.float32]
    directions: NDArray[np.float32]
    phases: NDArray[np.float32]

    @classmethod
    def make(cls, rng: np.random.Generator) -> World:
        """The same for every stream."""
        mixing = np.eye(COLUMNS, dtype=np.float32)
        mixing[:4, :4] = np.linalg.cholesky(0.4 * np.eye(4) + 0.6)
        directions = rng.standard_normal((COLUMNS, MAPS)) / np.sqrt(COLUMNS)
        return cls(mixing, directions.astype(np.float32),
                   rng.uniform(0, 2 * np.pi, MAPS).astype(np.float32))

    def draw(
        self, shape: tuple[int, int], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Values, random features and classes of ``shape`` = (streams, rows)."""
        normal = rng.standard_normal((*shape, COLUMNS), dtype=np.float32) @ self.mixing.T
        maps = np.cos(normal @ self.directions + self.phases)
        np.exp(normal[..., 4], out=normal[..., 4])
        np.maximum(normal[..., 5], 0.0, out=normal[..., 5])
        normal[..., 6:] *= np.where(rng.random((*shape, 2), dtype=np.float32) < 0.05, 8.0, 1.0)
        edges = np.cumsum(CLASSES)[:-1].astype(np.float32)
        predicted = np.searchsorted(edges, rng.random(shape, dtype=np.float32))
        return normal, maps, predicted.astype(np.int64)


def windows_a_year(streams: int, looks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Full windows that each stream's batches fill in a year, int64 ``[streams]``."""
    sizes = np.arange(1, BATCH + 1)
    shares = sizes**-1.5
    batches = rng.choice(sizes, size=(streams, looks), p=shares / shares.sum())
    return np.asarray(batches.sum(axis=1) // WINDOW_ROWS)


def run_streams(
    streams: int, reference: int, looks: int, world: World, seed: int
) -> list[dict[str, Any]]:
    """The largest evidence of every stream within its year."""
    rng = np.random.default_rng([seed, reference])
    lengths = windows_a_year(streams, looks, rng)
    values, maps, predicted = world.draw((streams, reference), rng)
    grids = [Grid.fit(each) for each in values]
    grid = Grid(np.stack([each.low for each in grids])[:, None],
                np.stack([each.scale for each in grids])[:, None])
    engine = Engine.fit(Window(grid.place(values), maps, predicted), len(CLASSES),
                        window_rows=WINDOW_ROWS, seed=seed)
    largest = np.full(streams, -np.inf)
    for number in range(int(lengths.max())):
        values, maps, predicted = world.draw((streams, WINDOW_ROWS), rng)
        engine.step(Window(grid.place(values), maps, predicted))
        largest = np.where(number < lengths, np.maximum(largest, engine.log_total()), largest)
    return [{"reference": reference, "windows": int(length), "largest_evidence": float(np.exp(top))}
            for length, top in zip(lengths, largest, strict=True)]


def summarize(runs: list[dict[str, Any]]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Shares of streams that ever reach a level, all and by size of reference."""
    table = []
    for label, rows in [
        ("all", runs),
        *((f"{size:,}", [run for run in runs if run["reference"] == size]) for size in REFERENCES),
    ]:
        top = np.array([run["largest_evidence"] for run in rows])
        table.append({
            "reference rows": label, "streams": len(rows),
            "windows a stream": float(np.mean([run["windows"] for run in rows])),
            "ever at 1/alpha = 100": int((top >= 1 / ALPHA).sum()),
            "ever at watch = 20": int((top >= 20).sum()),
            "largest evidence": float(top.max()),
        })
    top = np.array([run["largest_evidence"] for run in runs])
    return {"streams": float(len(runs)), "false_alarm_share": float((top >= 1 / ALPHA).mean()),
            "watch_share": float((top >= 20).mean())}, table


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.null", description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="a short year; keeps nothing")
    options = parser.parse_args()
    looks = LOOKS // 100 if options.quick else LOOKS
    streams = min(options.streams, 100) if options.quick else options.streams
    machine, began = describe_machine(), time.process_time()
    world = World.make(np.random.default_rng(0))
    runs: list[dict[str, Any]] = []
    for reference in REFERENCES:
        share = streams // len(REFERENCES)
        for start in range(0, share, TOGETHER):
            count = min(TOGETHER, share - start)
            runs += run_streams(count, reference, looks, world, seed=start)
            print(f"{len(runs)} streams, {time.process_time() - began:.0f} CPU-s", flush=True)
    summary, table = summarize(runs)
    publish(Report(
        name="drift_null", command="python -m benchmarks.drift.null", machine=machine,
        method=" ".join((__doc__ or "").split()), summary=summary, table=table, runs=runs,
        limits={"false_alarm_share": f"<= {ALPHA}"}, page="drift.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
