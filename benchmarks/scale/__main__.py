"""Slopes of the bookkeeping: ``python -m benchmarks.scale``."""

from __future__ import annotations

import argparse
from typing import Any, Final

from benchmarks.report import Report, describe_machine, publish
from benchmarks.scale import journal, partitions

BATCHES: Final = (1_000, 3_000, 10_000)
HOURS: Final = (30_000, 300_000, 1_000_000)


def slope(rows: list[dict[str, Any]], x: str, y: str) -> float:
    """Rise of ``y`` for each of ``x``, between the first and the last row."""
    first, last = rows[0], rows[-1]
    return float((last[y] - first[y]) / (last[x] - first[x]))


def batches_report(machine: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> Report:
    """Of batches in Dagster's storages; ``found`` is rows by storage."""
    summary: dict[str, float] = {}
    for storage, rows in found.items():
        name = storage.lower()
        summary |= {
            f"{name}_write_ms_an_event": rows[-1]["write ms an event"],
            f"{name}_asset_page_s": rows[-1]["asset page s"],
            f"{name}_idle_tick_cpu_ms_a_batch": 1000 * slope(rows, "batches", "idle tick CPU s"),
        }
    rows = [row for rows in found.values() for row in rows]
    return Report(
        name="scale", command="python -m benchmarks.scale --only batches", machine=machine,
        method="batches upon batches in one Dagster instance, four materializations each, then "
        "the questions of UI and daemon over the real graph.",
        page="scale.md", summary=summary, table=rows, runs=rows)


def hours_report(machine: dict[str, Any], rows: list[dict[str, Any]]) -> Report:
    """Of hours of the journal."""
    summary = {
        "journal_bytes_a_prediction": rows[-1]["bytes a prediction"],
        "log_bytes_a_prediction": rows[-1]["Parquet bytes a prediction"],
        "compact_cpu_us_a_prediction": rows[-1]["compact CPU us a prediction"],
        "compact_peak_gib": rows[-1]["compact peak GiB"],
    }
    return Report(
        name="scale_hours", command="python -m benchmarks.scale --only hours", machine=machine,
        method="hours of predictions with 10 classes and 64 dimensions, written to the journal and "
        "compacted into `prediction_log`.", page="scale.md", summary=summary, table=rows, runs=rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--only", choices=("batches", "hours"))
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    if options.only != "hours":
        machine, batches = describe_machine(), (50, 150) if options.quick else BATCHES
        found = {each: partitions.measure(each, batches) for each in partitions.STORAGES}
        publish(batches_report(machine, found), quick=options.quick)
    if options.only != "batches":
        machine, sizes = describe_machine(), (1_000, 3_000) if options.quick else HOURS
        publish(hours_report(machine, journal.measure(sizes)), quick=options.quick)


if __name__ == "__main__":
    main()
