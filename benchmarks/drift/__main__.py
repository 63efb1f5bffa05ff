"""Power of the drift trigger on the shifts of *Failing Loudly*, beside peers at equal false alarms.

A window of n production images, some of them shifted, is compared with 8,000 held-out images. Every
detector's threshold is the 95 % quantile of its scores on clean windows of the same size; the row
"none" is the share of other clean windows above it. Peers are reference versions of our own. Then
the stream trigger at alpha = 0.01: the median number of windows of 200 from the start of a shift,
after 20 clean windows, until it says "drifted".
"""

from __future__ import annotations

import argparse
from typing import Any, Final

import numpy as np
import torch

from benchmarks.drift.delay import STREAMS, measure_delays, median_delay
from benchmarks.drift.power import OURS, PEERS, make_watched, measure
from benchmarks.drift.scenes import SOURCES, Scene
from benchmarks.report import Report, Row, describe_machine, publish

SIZES: Final = (10, 20, 50, 100, 200, 500, 1000, 10_000)
NEVER: Final = "more"
LIMITS: Final = {
    "all_views_at_100": ">= 0.85", "model_views_at_100": ">= 0.70",
    "delay_large_noise_5_percent": "<= 3",
}


def mean_detection(runs: list[dict[str, Any]], rows: int, detector: str) -> float:
    """Over shifts and shares of affected rows."""
    return float(np.mean([run["found"][detector] for run in runs
                          if run["rows"] == rows and run["shift"] != "none"]))


def false_alarms(runs: list[dict[str, Any]], detector: str) -> float:
    """Over sizes, on clean windows that no threshold was taken from."""
    return float(np.mean([run["found"][detector] for run in runs if run["shift"] == "none"]))


def power_table(runs: list[dict[str, Any]], sizes: tuple[int, ...]) -> list[Row]:
    """Mean detection by detector, and what each takes for a false-alarm rate."""
    return [
        {"detector": name,
         **{f"n = {rows:,}": f"{mean_detection(runs, rows, name):.2f}" for rows in sizes},
         "false alarms": f"{false_alarms(runs, name):.3f}"}
        for name in (*OURS, *PEERS)
    ]


def shift_table(runs: list[dict[str, Any]], rows: int) -> list[Row]:
    """Detection at one size by shift, the shares of affected rows averaged."""
    names = list(dict.fromkeys(run["shift"] for run in runs))
    return [
        {f"shift, n = {rows}": name, **{
            detector: f"""{np.mean([run['found'][detector] for run in runs
                                    if run['rows'] == rows and run['shift'] == name]):.2f}"""
            for detector in (*OURS, *PEERS)}}
        for name in names
    ]


def delay_table(runs: list[dict[str, Any]], most: int) -> list[Row]:
    """Median windows until the alarm, by shift and views."""
    def cell(views: str, name: str, share: float) -> str:
        median = median_delay(runs, views, name, share)
        return f"{median:g}" if np.isfinite(median) else f"{NEVER} than {most}"

    return [{"windows of 200 until the alarm": f"{share:.0%} {name}",
             **{views: cell(views, name, share) for views in OURS}} for name, share in STREAMS]


def run_source(source: str, options: argparse.Namespace, machine: dict[str, Any]) -> None:
    """All measurements on one source of images, and their reports."""
    scene = Scene.make(source, epochs=options.epochs)
    watched = make_watched(scene)
    runs: list[dict[str, Any]] = []
    for rows in options.sizes:
        large = rows > 1000
        runs += measure(scene, watched, rows, trials=5 if large else options.trials,
                        clean=max(20, options.clean // 4) if large else options.clean)
        print(f"{source}: n = {rows} done", flush=True)
    delays = measure_delays(scene, watched, streams=options.streams, most=options.most)
    early = float(np.mean([run["early"] for run in delays]))
    accuracy = {f"accuracy, {name}": value for name, value in scene.accuracy.items()}
    at = 100
    summary = {
        "all_views_at_100": mean_detection(runs, at, OURS[0]),
        "mean_and_deviation_at_100": mean_detection(runs, at, OURS[1]),
        "model_views_at_100": mean_detection(runs, at, OURS[2]),
        "bbsds_at_100": mean_detection(runs, at, PEERS[0]),
        "mmd_at_100": mean_detection(runs, at, PEERS[1]),
        "classifier_at_100": mean_detection(runs, at, PEERS[2]),
        "delay_large_noise_5_percent": median_delay(delays, OURS[0], "large noise", 0.05),
        "delay_large_noise_5_percent_model_views":
            median_delay(delays, OURS[2], "large noise", 0.05),
        "alarms_before_the_shift": early,
    }
    command = f"python -m benchmarks.drift --source {source}"
    images = "Fashion-MNIST" if source == "fashion" else "textures without a constant background"
    publish(Report(
        name=f"drift_{source}", command=command, machine=machine,
        method=f"{images}: {' '.join((__doc__ or '').split())} {options.trials} trials a cell (5 "
        f"at 10,000), {options.clean} clean windows twice, {options.streams} streams a delay.",
        summary=summary, table=power_table(runs, options.sizes),
        more=[shift_table(runs, at), delay_table(delays, options.most)],
        runs=[*runs, *delays, accuracy], limits=LIMITS if source == "fashion" else {},
        page="drift.md",
    ), quick=options.quick)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--source", choices=list(SOURCES), action="append")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--clean", type=int, default=200, help="windows for each threshold")
    parser.add_argument("--streams", type=int, default=11)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    options.sizes, options.most = SIZES, 80
    if options.quick:
        options.trials, options.clean, options.streams, options.epochs = 2, 20, 1, 1
        options.sizes, options.most = (20, 100), 5
    machine = describe_machine()
    torch.set_num_threads(1)
    for source in options.source or SOURCES:
        run_source(source, options, machine)


if __name__ == "__main__":
    main()
