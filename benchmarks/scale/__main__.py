"""Slopes of the bookkeeping: ``python -m benchmarks.scale``."""

from __future__ import annotations

import argparse
from typing import Any, Final

from benchmarks.report import Report, describe_machine, publish
from benchmarks.scale import journal, partitions

BATCHES: Final = (1_000, 3_000, 10_000)
HOURS: Final = (30_000, 100_000, 300_000)


def slope(rows: list[dict[str, Any]], x: str, y: str) -> float:
    """Rise of ``y`` for each of ``x``, between the first and the last row."""
    first, last = rows[0], rows[-1]
    return float((last[y] - first[y]) / (last[x] - first[x]))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    batches = (50, 150) if options.quick else BATCHES
    sizes = (1_000, 3_000) if options.quick else HOURS
    machine = describe_machine()
    found = {storage: partitions.measure(storage, batches) for storage in partitions.STORAGES}
    hours = journal.measure(sizes)
    summary: dict[str, float] = {}
    for storage, rows in found.items():
        name = storage.lower()
        summary |= {
            f"{name}_write_ms_an_event": rows[-1]["write ms an event"],
            f"{name}_asset_page_s": rows[-1]["asset page s"],
            f"{name}_idle_tick_cpu_ms_a_batch": 1000 * slope(rows, "batches", "idle tick CPU s"),
        }
    summary |= {
        "journal_bytes_a_prediction": hours[-1]["bytes a prediction"],
        "log_bytes_a_prediction": hours[-1]["Parquet bytes a prediction"],
        "compact_cpu_us_a_prediction": hours[-1]["compact CPU us a prediction"],
        "compact_gib_a_million": 1e6 * slope(hours, "predictions an hour", "compact peak GiB"),
    }
    publish(Report(
        name="scale", command="python -m benchmarks.scale", machine=machine, page="scale.md",
        method="batches upon batches in one Dagster instance, four materializations each, then "
        "the questions of UI and daemon over the real graph; hours of predictions with 10 classes "
        "and 64 dimensions, written and compacted.",
        summary=summary, table=[row for rows in found.values() for row in rows], more=[hours],
        runs=[*(row for rows in found.values() for row in rows), *hours],
    ), quick=options.quick)


if __name__ == "__main__":
    main()
