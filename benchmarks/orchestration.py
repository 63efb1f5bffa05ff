"""What running the steps through Dagster costs, on a graph built once and run again unchanged.

The same process and executor as the platform's run worker: `materialize_all` over scikit-learn's
digits, with Dagster's SQLite storage on disk. Within each step the plain work (`run_step`: pin,
verify, build or recall, commit) is timed apart; the rest of the step is Dagster's and the asset
function's own. The floor is a chain of as many assets that do nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg

from benchmarks.home import Home, temporary_home
from benchmarks.report import Report, describe_machine, publish
from mlops_assets import present
from tests.digits import write_digits

GROUPS: Final = ("raw", "validated", "features", "models", "releases")
FIRST, AGAIN, EMPTY = "first run", "run again", "empty assets"
NAMES: Final = {"validate": "validated_images"}


def use_digits(folder: Path, epochs: int) -> None:
    """Settings for the digits as an image folder, in this process's environment."""
    settings = {
        "DATASET__SOURCE": "image_folder", "DATASET__ROOT": str(write_digits(folder)),
        "DATASET__PIXELS__HEIGHT": "16", "DATASET__PIXELS__WIDTH": "16",
        "TRAINING__EPOCHS": str(epochs), "TRAINING__BATCH_SIZE": "32",
        "TRAINING__FLIP": "false", "GATE__MIN_SLICE_ROWS": "5",
        "GATE__MIN_ACCURACY": "0.1", "VALIDATION__MAX_QUARANTINED_SHARE": "0.2",
    }
    os.environ |= {f"MLOPS__{key}": value for key, value in settings.items()}


@contextmanager
def plain_seconds() -> Iterator[dict[str, float]]:
    """Within, the seconds that each step spends in ``run_step``, by its first output."""
    spent: dict[str, float] = {}
    original = present.run_step

    def timed(store: Any, step: Any, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(store, step, *arguments, **named)
        finally:
            spent[step.outputs[0]] = time.perf_counter() - began

    present.run_step = timed
    try:
        yield spent
    finally:
        present.run_step = original


def step_seconds(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    """Seconds from each step's start to its success, in the order of the run."""
    found = {}
    for event in result.all_events:
        if event.is_step_success:
            data: Any = event.event_specific_data
            found[str(event.step_key)] = data.duration_ms / 1000
    return found


def run_graph(home: Home, kind: str, number: int) -> dict[str, Any]:
    """Materialize everything from raw to releases."""
    with plain_seconds() as plain:
        result, wall = home.materialize(dg.AssetSelection.groups(*GROUPS), "initial")
    events = [event.materialization for event in result.get_asset_materialization_events()]
    built = [event.asset_key.to_user_string() for event in events
             if not event.metadata["reused"].value]
    if kind == AGAIN and built:
        raise SystemExit(f"not unchanged: {', '.join(built)} built anew; did a source change?")
    steps = {
        name: {"step": seconds, "plain": plain[NAMES.get(name, name)]}
        for name, seconds in step_seconds(result).items()
    }
    return {"kind": kind, "round": number, "wall": wall, "steps": steps,
            "plain": sum(each["plain"] for each in steps.values())}


def make_chain(length: int) -> list[dg.AssetsDefinition]:
    """Assets that do nothing, each after the one before."""
    def build(number: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"empty_{number}", deps=[f"empty_{number - 1}"] if number else [])
        def empty() -> dg.MaterializeResult[Any]:
            return dg.MaterializeResult(data_version=dg.DataVersion("0"))

        return empty

    return [build(number) for number in range(length)]


def run_empty(home: Home, chain: list[dg.AssetsDefinition], number: int) -> dict[str, Any]:
    """Materialize assets that do nothing."""
    began = time.perf_counter()
    result = dg.materialize(chain, instance=home.instance)
    wall = time.perf_counter() - began
    steps = {name: {"step": seconds, "plain": 0.0}
             for name, seconds in step_seconds(result).items()}
    return {"kind": EMPTY, "round": number, "wall": wall, "steps": steps, "plain": 0.0}


def summarize(runs: list[dict[str, Any]]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Medians over the rounds; one table row a step, in the order of the graph, then all."""
    def of(kind: str, value: Any) -> float:
        return statistics.median(float(value(run)) for run in runs if run["kind"] == kind)

    def row(name: str, first: Any, again: Any, plain: Any) -> dict[str, Any]:
        return {"step": name, "first run s": of(FIRST, first), "run again s": of(AGAIN, again),
                "of it plain work s": of(AGAIN, plain),
                "Dagster and the rest s": of(AGAIN, lambda run: again(run) - plain(run))}

    names = list(next(run for run in runs if run["kind"] == AGAIN)["steps"])
    table = [
        row(name, lambda run, name=name: run["steps"][name]["step"],
            lambda run, name=name: run["steps"][name]["step"],
            lambda run, name=name: run["steps"][name]["plain"])
        for name in names
    ]
    table.append(row("whole run", lambda run: run["wall"], lambda run: run["wall"],
                     lambda run: run["plain"]))
    rest = of(AGAIN, lambda run: run["wall"] - run["plain"]) / len(names)
    floor = of(EMPTY, lambda run: run["wall"]) / len(names)
    first_plain = of(FIRST, lambda run: run["plain"])
    summary = {
        "first_run_over_plain": of(FIRST, lambda run: run["wall"]) / first_plain,
        "run_again_seconds": of(AGAIN, lambda run: run["wall"]),
        "run_again_over_first_run": of(AGAIN, lambda run: run["wall"])
        / of(FIRST, lambda run: run["wall"]),
        "run_again_over_plain": of(AGAIN, lambda run: run["wall"])
        / of(AGAIN, lambda run: run["plain"]),
        "rest_seconds_per_step": rest,
        "empty_asset_seconds": floor,
        "rest_over_empty_asset": rest / floor,
    }
    return summary, table


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orchestration", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="of the unchanged run")
    parser.add_argument("--epochs", type=int, default=8, help="of the first run's training")
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.epochs = 2, 4
    machine = describe_machine()
    with (
        tempfile.TemporaryDirectory(prefix="bench-orchestration-") as scratch,
        temporary_home(Path(scratch) / "home") as home,
    ):
        use_digits(Path(scratch) / "digits", options.epochs)
        runs = [run_graph(home, FIRST, 0)]
        run_graph(home, AGAIN, -1)
        chain = make_chain(len(runs[0]["steps"]))
        run_empty(home, chain, -1)
        for number in range(options.rounds):
            runs += [run_graph(home, AGAIN, number), run_empty(home, chain, number)]
    summary, table = summarize(runs)
    publish(Report(
        name="orchestration", command="python -m benchmarks.orchestration", machine=machine,
        method=f"groups {', '.join(GROUPS)} over 1,797 digits; one first run, then "
        f"{options.rounds} unchanged ones interleaved with the empty chain, medians.",
        summary=summary, table=table, runs=runs,
    ), quick=options.quick)


if __name__ == "__main__":
    main()
