"""Where every benchmark's figures go: ``benchmarks/results/<name>.json`` and ``docs``."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from mlops_assets.provenance.environment import cpu_model

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
PAGES: Final = ROOT / "docs"
PACKAGES: Final = ("dagster", "mlflow", "numpy", "timm", "torch", "torchvision")

Row = Mapping[str, str | float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One benchmark's outcome.

    ``summary`` holds the figures that a limit may be set on, ``limits`` maps some of them to
    ``"<= 1.05"``-like text, ``table`` is what the page shows, ``runs`` is every measurement,
    ``page`` is the file in ``docs`` that shows it, ``more`` further tables there.
    """

    name: str
    command: str
    method: str
    summary: Mapping[str, float]
    table: Sequence[Row]
    runs: Sequence[Mapping[str, Any]]
    machine: Mapping[str, Any]
    limits: Mapping[str, str] = field(default_factory=dict)
    page: str = "performance.md"
    more: Sequence[Sequence[Row]] = ()


def describe_machine() -> dict[str, Any]:
    """Processor, usable cores, memory, load and versions; call it before the work begins."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_at_start": [round(each, 2) for each in os.getloadavg()],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def publish(report: Report, *, quick: bool) -> None:
    """Print the table; keep it and the runs too, unless the sizes were those of ``--quick``."""
    print(to_markdown(report))
    if quick:
        print(f"--quick: neither benchmarks/results nor docs/{report.page} is changed")
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    body = {
        "name": report.name, "command": report.command, "method": report.method,
        "summary": dict(report.summary), "limits": dict(report.limits),
        "table": [dict(row) for row in report.table],
        **({"more": [[dict(row) for row in table] for table in report.more]}
           if report.more else {}),
        "machine": dict(report.machine), "runs": [dict(run) for run in report.runs],
    }
    (RESULTS / f"{report.name}.json").write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    page = PAGES / report.page
    page.write_text(replace_section(page.read_text(), report.name, to_markdown(report)))


def replace_section(page: str, name: str, body: str) -> str:
    """The page with a new body between ``<!-- bench:name -->`` and ``<!-- /bench:name -->``.

    Raises:
        ValueError: the page has no such section.
    """
    opening, closing = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    before, found, rest = page.partition(opening)
    _, ended, after = rest.partition(closing)
    if not (found and ended):
        raise ValueError(f"the page has no section {opening} … {closing}")
    return f"{before}{opening}\n{body}\n{closing}{after}"


def to_markdown(report: Report) -> str:
    """The table, the summary with its limits, the method and the machine."""
    machine = report.machine
    summary: list[Row] = [
        {"figure": f"`{name}`", "value": value, "limit": report.limits.get(name, "")}
        for name, value in report.summary.items()
    ]
    where = (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, load "
        f"{machine['load_at_start'][0]} at the start, Python {machine['python']}, "
        f"torch {machine['packages']['torch']}; {machine['at'][:10]}"
    )
    tables = [_table(rows) for rows in (report.table, *report.more, summary)]
    return "\n\n".join([f"`{report.command}`: {report.method}", *tables, where])


def _table(rows: Sequence[Row]) -> str:
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: str | float) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
