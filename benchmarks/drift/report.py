"""CPU of a drift report over 1,000,000 rows of 64 float32 columns, ours and three libraries'.

The rows stand in Parquet, 25 files of 40,000, and are compared with 10,000 reference rows. Ours
gives the Kolmogorov-Smirnov and the Jensen-Shannon distance of every column from counts in cells;
Evidently runs its data-drift preset, NannyML its univariate Jensen-Shannon drift, alibi-detect its
Kolmogorov-Smirnov test. Each side is a process of its own, with its own environment. Ratios are of
the CPU seconds (user and system) after the imports, reading included; the whole process is shown
beside them. Then our trigger judges 1,000,000 predictions with embeddings, in 100 hours, from
nothing, and again when one more hour has come.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.drift.predictions import write
from benchmarks.environments import install
from benchmarks.report import ROOT, Report, Row, describe_machine, publish

HERE: Final = Path(__file__).parent / "detectors"
COLUMNS, REFERENCE_ROWS, FILES, HOURS = 64, 10_000, 25, 100


@dataclass(frozen=True, slots=True)
class Side:
    """One detector: its script, its environment (none: our own), and its name in the summary."""

    name: str
    script: str
    environment: str | None
    key: str
    limit: str = ""


SIDES: Final = (
    Side("ours", "ours.py", None, "ours"),
    Side("alibi-detect, KSDrift", "alibi_ks.py", "alibi", "alibi_ks", ">= 20"),
    Side("NannyML, Jensen-Shannon", "nannyml_univariate.py", "nannyml", "nannyml", ">= 10"),
    Side("Evidently, DataDriftPreset", "evidently_preset.py", "evidently", "evidently", ">= 500"),
)


def write_columns(folder: Path, rows: int) -> None:
    """Correlated columns; production's first eight are moved a little."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(COLUMNS, COLUMNS)).astype(np.float32) / 8

    def table(count: int, moved: float) -> pa.Table:
        values = rng.standard_normal((count, COLUMNS), np.float32) @ mixing
        values[:, :8] += moved
        # Without nulls, as the vectors in `prediction_log` are.
        schema = pa.schema([pa.field(f"c{index:02}", pa.float32(), nullable=False)
                            for index in range(COLUMNS)])
        return pa.table([values[:, index] for index in range(COLUMNS)], schema=schema)

    (folder / "hours").mkdir(parents=True)
    pq.write_table(table(REFERENCE_ROWS, 0), folder / "reference.parquet", use_dictionary=False)
    for hour in range(FILES):
        pq.write_table(table(rows // FILES, 0.05), folder / "hours" / f"{hour:04}.parquet",
                       use_dictionary=False)


def run(command: list[str | Path]) -> dict[str, Any]:
    """The command's JSON, with CPU seconds and peak memory of its process and its children."""
    environment = os.environ | {
        "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1", "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, env=environment)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            return {"failed": err.read().decode()[-500:]}
        found: dict[str, Any] = json.loads(out.read().decode().splitlines()[-1])
    whole = used.ru_utime + used.ru_stime
    return found | {"process_cpu_s": whole, "cpu_s": whole - found["imports"],
                    "rss_mib": used.ru_maxrss / 1024}


def measure(folder: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Every side once, in turns; ours as often as ``repeats``, of which the median counts."""
    found: dict[str, dict[str, Any]] = {}
    ours: list[dict[str, Any]] = []
    for side in SIDES:
        if side.environment is None:
            continue
        ours += [run([sys.executable, HERE / SIDES[0].script, folder]) for _ in range(repeats)]
        try:
            python = install(HERE / f"{side.environment}.txt")
        except subprocess.CalledProcessError as error:
            found[side.key] = {"failed": f"not installed: {error}"}
            continue
        found[side.key] = run([python, HERE / side.script, folder])
        print(side.name, {name: value for name, value in found[side.key].items()
                          if not isinstance(value, dict)}, flush=True)
    middle = statistics.median_low(each["cpu_s"] for each in ours)
    found["ours"] = next(each for each in ours if each["cpu_s"] == middle)
    found["ours"]["all_cpu_s"] = [each["cpu_s"] for each in ours]
    return found


def judge(folder: Path, rows: int) -> list[dict[str, Any]]:
    """Our whole trigger: all hours from nothing, then with one more."""
    write(folder, HOURS + 1, rows // HOURS)
    return [run([sys.executable, "-m", "benchmarks.drift.predictions", folder, str(count)])
            for count in (HOURS, HOURS + 1)]


def farthest(found: dict[str, dict[str, Any]], key: str, distance: str) -> float:
    """Largest difference of a distance between ours and another side's, over columns."""
    theirs = found[key].get(distance, {})
    return max((abs(found["ours"][distance][name] - value) for name, value in theirs.items()),
               default=float("nan"))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.report", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours beside each other one")
    parser.add_argument("--quick", action="store_true", help="few rows; keeps nothing")
    options = parser.parse_args()
    rows = 20_000 if options.quick else options.rows
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_columns(folder / "columns", rows)
        found = measure(folder / "columns", options.repeats)
        shutil.rmtree(folder / "columns")
        judged = judge(folder / "predictions", rows)
    table: list[Row] = []
    summary: dict[str, float] = {}
    for side in SIDES:
        each = found[side.key]
        if "failed" in each:
            table.append({"report": side.name, "CPU s": "failed", "CPU s, whole process": "failed",
                          "peak MiB": "", "times our CPU": ""})
            continue
        ratio = each["cpu_s"] / found["ours"]["cpu_s"]
        table.append({"report": side.name, "CPU s": each["cpu_s"],
                      "CPU s, whole process": each["process_cpu_s"], "peak MiB": each["rss_mib"],
                      "times our CPU": ratio})
        if side.limit:
            summary[f"report_ratio_vs_{side.key}"] = ratio
    begun, later = judged
    summary |= {
        "report_cpu_s": found["ours"]["cpu_s"], "report_rss_mib": found["ours"]["rss_mib"],
        "ks_off_alibi": farthest(found, "alibi_ks", "ks"),
        "trigger_cpu_s": begun["process_cpu_s"], "trigger_rss_mib": begun["rss_mib"],
        "trigger_next_hour_cpu_s": later["process_cpu_s"],
    }
    limits = {f"report_ratio_vs_{side.key}": side.limit for side in SIDES if side.limit}
    judged_table: list[Row] = [
        {"trigger": name, "predictions": each["rows"], "CPU s, whole process":
         each["process_cpu_s"], "peak MiB": each["rss_mib"], "verdict": each["verdict"]}
        for name, each in (("from nothing", begun), ("one more hour", later))]
    publish(Report(
        name="drift_report", command="python -m benchmarks.drift.report", machine=machine,
        method=" ".join((__doc__ or "").split()), summary=summary, table=table,
        more=[judged_table], limits=limits | {"ks_off_alibi": "<= 0.005"},
        runs=[*({"side": name, **each} for name, each in found.items()), *judged],
        page="drift.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
