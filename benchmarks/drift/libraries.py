"""Libraries' drift detectors beside ours, on the same windows and streams, at equal false alarms.

Windows of 100 Fashion-MNIST images, some of them shifted as in *Failing Loudly*, against 8,000
held-out images. The libraries get what they are made for, the softmax outputs of a window:
Evidently's data-drift preset and NannyML's Jensen-Shannon distance (the largest of the columns),
alibi-detect's KSDrift (its largest distance), frouros' MMD. Each threshold is the 95 % quantile of
the scores of clean windows; "none" is the share of other clean windows above it. Streams: river's
ADWIN, Page-Hinkley and KSWIN read one confidence after the other, each at the most sensitive of
several settings at which no clean stream alarms; our trigger reads windows of 200 at alpha = 0.01.
4,000 clean predictions go before the shift; the table has the median number of predictions from
then to the alarm. A stream that alarms before the shift counts as one that never finds it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.drift.delay import CLEAN_WINDOWS, run_stream
from benchmarks.drift.power import FALSE_ALARMS, OURS, PEERS, SHARES, make_scores, make_watched
from benchmarks.drift.scenes import CLEAN, Draw, Scene, Watched
from benchmarks.drift.shifts import SHIFTS, Shift
from benchmarks.environments import install
from benchmarks.report import ROOT, Report, Row, describe_machine, publish
from mlops_assets.monitoring.trigger.stream import WINDOW_ROWS

HERE: Final = Path(__file__).parent
ROWS: Final = 100
SEVERITIES: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
STREAMED: Final = tuple(shift for shift in SHIFTS if shift.name in (
    "medium noise", "large noise", "medium transform"))


@dataclass(frozen=True, slots=True)
class Library:
    """A detector's name, its script among the judges, and the environment it runs in."""

    name: str
    script: str
    environment: str


LIBRARIES: Final = (
    Library("Evidently", "evidently_preset.py", "evidently"),
    Library("NannyML", "nannyml_univariate.py", "nannyml"),
    Library("alibi-detect KSDrift", "alibi_ks.py", "alibi"),
    Library("frouros MMD", "frouros_mmd.py", "frouros"),
)
RIVER: Final = Library("river", "river_streams.py", "river")


def ask(library: Library, arrays: dict[str, NDArray[np.float32]]) -> Any:
    """What the library's script prints about the arrays.

    Raises:
        subprocess.CalledProcessError: it can not be installed, or fails.
    """
    python = install(HERE / "detectors" / f"{library.environment}.txt")
    environment = os.environ | {
        "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch, "windows.npz")
        np.savez(place, **arrays)  # type: ignore[arg-type]
        done = subprocess.run([python, HERE / "judges" / library.script, place], check=True,
                              stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True)
    print(f"{library.name}: done", flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def softmax_of(scene: Scene, draw: Draw) -> NDArray[np.float32]:
    """Softmax outputs of a draw's rows."""
    return np.concatenate([scene.production[name].rows.probabilities[chosen]  # type: ignore[index]
                           for name, chosen in draw])


def compare_windows(scene: Scene, watched: dict[str, Watched], trials: int,
                    clean: int) -> list[dict[str, Any]]:
    """Share of windows that each detector finds, by shift and share of affected rows."""
    rng = np.random.default_rng(11)
    cells: list[tuple[Shift | None, float, int]] = [
        (None, 0.0, clean), (None, 0.0, clean),
        *((shift, share, trials) for shift in SHIFTS for share in SHARES)]
    draws = [[scene.draw(shift, share, ROWS, rng) for _ in range(count)]
             for shift, share, count in cells]
    flat = [draw for cell in draws for draw in cell]
    scored = {name: [score(draw, rng) for draw in flat] for name, score in
              make_scores(scene, watched, ROWS, draws=min(400, 2 * clean)).items()
              if name in (*watched, PEERS[0])}
    reference = scene.reference.rows.probabilities
    assert reference is not None
    arrays = {"reference": reference, "windows": np.stack([softmax_of(scene, draw)
                                                           for draw in flat])}
    scored |= {library.name: ask(library, arrays) for library in LIBRARIES}
    ends = np.cumsum([count for _, _, count in cells])[:-1]
    parts = {name: np.split(np.array(values), ends) for name, values in scored.items()}
    limits = {name: np.quantile(values[0], 1 - FALSE_ALARMS) for name, values in parts.items()}
    return [{"shift": "none" if shift is None else shift.name, "share": share, "found": {
        name: float((values[number] > limits[name]).mean()) for name, values in parts.items()}}
        for number, (shift, share, _) in enumerate(cells) if number]


def compare_streams(scene: Scene, watched: dict[str, Watched], streams: int,
                    most: int) -> list[dict[str, Any]]:
    """Predictions from the start of a shift to the alarm: a run a detector, shift and severity."""
    confidence = {name: each.rows.confidence for name, each in scene.production.items()}
    before, length = CLEAN_WINDOWS * WINDOW_ROWS, (CLEAN_WINDOWS + most) * WINDOW_ROWS
    clean, shifted, cells = [], [], []
    for seed in range(2 * streams):
        order = np.random.default_rng([seed, 7]).permutation(len(scene.labels))[:length]
        clean.append(confidence[CLEAN][order])
    runs: list[dict[str, Any]] = []
    for shift in STREAMED:
        for share in SEVERITIES:
            for seed in range(streams):
                rng = np.random.default_rng([seed, 6])
                order = rng.permutation(len(scene.labels))[:length]
                hit = (rng.random(length) < share) & (np.arange(length) >= before)
                shifted.append(np.where(hit, confidence[shift.change or CLEAN][order],
                                        confidence[CLEAN][order]))
                cells.append((shift.name, share))
                for name, each in watched.items():
                    found = run_stream(scene, each, shift, share, seed, most)
                    late = found["early"] or found["delay"] is None
                    runs.append({"detector": name, "shift": shift.name, "share": share,
                                 "delay": None if late else found["delay"] * WINDOW_ROWS})
    print("ours: streams done", flush=True)
    for name, answer in ask(RIVER, {"clean": np.stack(clean).astype(np.float32),
                                    "shifted": np.stack(shifted).astype(np.float32)}).items():
        for (shift_name, share), alarm in zip(cells, answer["alarms"], strict=True):
            late = alarm is None or alarm <= before
            runs.append({"detector": f"river {name}, {answer['setting']}", "shift": shift_name,
                         "share": share, "delay": None if late else alarm - before})
    return runs


def median(runs: list[dict[str, Any]], detector: str, shift: str, share: float) -> float:
    """Median delay; infinite where half of the streams never alarm."""
    delays = [np.inf if run["delay"] is None else run["delay"] for run in runs
              if (run["detector"], run["shift"], run["share"]) == (detector, shift, share)]
    return float(np.median(delays))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.drift.libraries", description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--clean", type=int, default=150, help="windows for each threshold")
    parser.add_argument("--streams", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    epochs, most = 3, 60
    if options.quick:
        options.trials, options.clean, options.streams, epochs, most = 1, 10, 1, 1, 5
    machine = describe_machine()
    torch.set_num_threads(1)
    scene = Scene.make("fashion", epochs=epochs)
    watched = {name: each for name, each in make_watched(scene).items()
               if name in (OURS[0], OURS[-1])}
    windows = compare_windows(scene, watched, options.trials, options.clean)
    streams = compare_streams(scene, watched, options.streams, most)
    detectors = list(windows[0]["found"])

    def mean(detector: str, shift: str | None = None) -> float:
        return float(np.mean([run["found"][detector] for run in windows if run["shift"] == shift
                              or (shift is None and run["shift"] != "none")]))

    by_shift = list(dict.fromkeys(run["shift"] for run in windows))
    table: list[Row] = [{f"shift, n = {ROWS}": shift, **{
        name: f"{mean(name, shift):.2f}" for name in detectors}} for shift in by_shift]
    table.append({f"shift, n = {ROWS}": "mean",
                  **{name: f"{mean(name):.3f}" for name in detectors}})
    read = list(dict.fromkeys(run["detector"] for run in streams))
    delays: list[Row] = [
        {"predictions to the alarm": f"{share:.0%} {shift.name}", **{
            name: f"{found:,.0f}" if np.isfinite(found := median(streams, name, shift.name, share))
            else f"more than {most * WINDOW_ROWS:,}" for name in read}}
        for shift in STREAMED for share in SEVERITIES]
    best = max(mean(library.name) for library in LIBRARIES)
    summary = {
        "all_views": mean(OURS[0]), "model_views": mean(OURS[-1]), "best_library": best,
        "rows_behind_a_library": float(sum(
            mean(OURS[0], shift) < max(mean(library.name, shift) for library in LIBRARIES)
            for shift in by_shift if shift != "none")),
        "rows_behind_a_library_model_views": float(sum(
            mean(OURS[-1], shift) < max(mean(library.name, shift) for library in LIBRARIES)
            for shift in by_shift if shift != "none")),
    }
    publish(Report(
        name="drift_libraries", command="python -m benchmarks.drift.libraries", machine=machine,
        method=" ".join((__doc__ or "").split()) + f" {options.trials} trials a cell, "
        f"{options.clean} clean windows twice, {options.streams} streams a delay.",
        summary=summary, table=table, more=[delays], runs=[*windows, *streams],
        limits={"rows_behind_a_library": "<= 0"}, page="drift.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
