"""An hour of mixed traffic, watched for what grows: ``python -m benchmarks.soak``.

Good images of every format, bad ones, labels, look-ups, bundles, explanations and odd requests,
while the state of serving is swapped again and again. It fails when memory, descriptors, threads or
latency grow, when an answer is not what it should be, or when one is not in the journal.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Report, describe_machine, publish
from benchmarks.soak.run import Plan, Soak, soak
from benchmarks.soak.samples import Bounds, Sample, grown, growth
from benchmarks.soak.service import soaked

WARM_SHARE: Final = 0.2
ROWS: Final = 10
# Over the whole time after the warm-up, whatever that is.
BOUNDS: Final = Bounds(memory_mib=24.0, descriptors=4.0, threads=4.0, latency=0.25)


def tell(sample: Sample) -> None:
    """One line of progress."""
    print(f"{sample.at:7.0f} s  {sample.memory_mib:6.0f} MiB  {sample.descriptors:4d} descriptors  "
          f"{sample.threads:3d} threads  {sample.answers:6d} answers  p50 {sample.p50_ms:.1f} ms  "
          f"p99 {sample.p99_ms:.1f} ms", file=sys.stderr, flush=True)


def summarize(found: Soak, changed: dict[str, float]) -> dict[str, float]:
    """The figures that limits are set on."""
    return {
        "hours": (found.samples[-1].at - found.samples[0].at) / 3600,
        "requests": float(found.statuses.total()), "faults": float(len(found.faults)),
        "swaps": float(found.swaps), "memory_growth_mib": changed["memory_mib"],
        "descriptor_growth": changed["descriptors"], "thread_growth": changed["threads"],
        "p50_growth_share": changed["p50_ms"], "p99_growth_share": changed["p99_ms"],
    }


def rows(samples: list[Sample]) -> list[dict[str, Any]]:
    """Some of the samples, evenly."""
    step = max(1, len(samples) // ROWS)
    return [{"minutes": each.at / 60, "memory MiB": each.memory_mib,
             "descriptors": each.descriptors, "threads": each.threads, "p50 ms": each.p50_ms,
             "p99 ms": each.p99_ms} for each in samples[::step]]


def main() -> int:
    """Entry point; 1 when something grew or went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="in all")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--quick", action="store_true", help="one minute; keeps nothing")
    options = parser.parse_args()
    seconds, every = (60.0, 2.0) if options.quick else (options.seconds, options.every)
    plan = Plan(seconds=seconds, warm=WARM_SHARE * seconds, every=every,
                swap_every=max(2.0, seconds / 200), pause=0.03)
    machine = describe_machine()
    with (
        tempfile.TemporaryDirectory(prefix="bench-soak-") as folder, soaked(Path(folder)) as served
    ):
        found = soak(served, plan, told=tell)
    changed = growth(found.samples)
    wrong = [*found.faults[:20], *grown(changed, BOUNDS)]
    publish(Report(
        name="soak", command="python -m benchmarks.soak", machine=machine,
        summary=summarize(found, changed), table=rows(found.samples),
        runs=[asdict(each) for each in found.samples],
        method=f"{seconds / 60:.0f} minutes of mixed traffic of 8 clients, the first "
        f"{WARM_SHARE:.0%} to warm up; the state of serving changed {found.swaps} times. Growth is "
        "the slope by Theil and Sen times the duration; of latencies, as a share of their median.",
        limits={"memory_growth_mib": f"at most {BOUNDS.memory_mib:g}", "faults": "0",
                "descriptor_growth": f"at most {BOUNDS.descriptors:g}",
                "thread_growth": f"at most {BOUNDS.threads:g}",
                "p50_growth_share": f"at most {BOUNDS.latency:g}",
                "p99_growth_share": f"at most {BOUNDS.latency:g}"},
    ), quick=options.quick)
    for each in wrong:
        print(each, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
