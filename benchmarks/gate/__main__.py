"""What the gate decides on candidates whose difference from the champion is known.

First, candidates of each kind are trained: a small network on Fashion-MNIST, judged on 20,000 old
rows and 2,000 of a batch of a dark and noisy camera, the drift. Then 200 seeds of each kind are
drawn: rows on which both, one or no model is right, with the accuracies and the disagreement of the
trained networks by class, and a planted difference. A candidate is trained anew with another seed
(it disagrees with the champion on more rows) or trained on from the champion (on fewer). Columns
are old rows, a tenth of them in each class, and rows of the drifted batch; cells are the share
promoted, with its 95 % interval (Clopper-Pearson). The one old class that is worse or thin is
another with each seed.
"""

from __future__ import annotations

import argparse
from typing import Any, Final

import numpy as np

from benchmarks.gate.kinds import SCARCE, THIN, Setting, make_kinds, run_kind
from benchmarks.gate.trained import Right, World, judge_all, measure, train_all
from benchmarks.report import Report, Row, describe_machine, publish
from mlops_assets.config import GateSettings
from mlops_assets.models.gate import GateReport

SEEDS: Final = 200
SIZES: Final = {"2,000 + 500": (200, 500), "10,000 + 2,000": (1000, 2000),
                "20,000 + 2,000": (2000, 2000), "40,000 + 4,000": (4000, 4000)}
ANEW, ON = "trained anew", "trained on"
COPIES: Final = ("exact copy", "copy, other seed")
HARMFUL: Final = ("repair, one old class 2 points worse",
                  "better by 1 point, one old class 2 points worse")
THIN_KIND: Final = f"repair, one class of {THIN} rows"
SCARCE_KIND: Final = f"repair, one class of {SCARCE} rows 2 points worse"
LIMITS: Final = {
    "copies_promoted_largest_cell": "<= 0.05", "harmful_promoted": "<= 0.05",
    "worse_promoted": "<= 0.05",
    "repair_trained_on_promoted_at_20000": ">= 0.95",
    "repair_trained_anew_promoted_at_40000": ">= 0.95",
    "thin_class_inconclusive": ">= 1", "scarce_worse_class_passed": "<= 0.05",
}


def trained_table(
    world: World, found: dict[str, Right], reports: dict[str, GateReport]
) -> list[Row]:
    """Each trained candidate, its differences, and what the gate says."""
    rows: list[Row] = []
    for name, report in reports.items():
        classes = [part for part in report.slices if part.slice.startswith("class")]
        least = min(classes, key=lambda part: part.difference)
        (batch,) = (part for part in report.slices if part.slice == "batch drifted")
        apart = (found[name] ^ found["champion"])[~world.drifted].mean()
        rows.append({
            "trained candidate": name, "overall": f"{report.slices[0].difference:+.4f}",
            "drifted": f"{batch.difference:+.4f}",
            "worst old class": f"{least.slice} {least.difference:+.3f}",
            "disagrees on old rows": f"{apart:.1%}", "decision": report.decision,
            "reason": report.reason,
        })
    return rows


def simulate(
    ways: dict[str, Setting], seeds: int, settings: GateSettings
) -> list[dict[str, Any]]:
    """Every kind, way and size."""
    runs = []
    for way, setting in ways.items():
        for kind, plant in make_kinds(setting).items():
            for size, (rows, drifted) in SIZES.items():
                counted = run_kind(plant, setting, rows, drifted, seeds, settings)
                runs.append({"kind": kind, "way": way, "size": size, **counted})
            print(f"{way}, {kind}", flush=True)
    return runs


def simulated_table(runs: list[dict[str, Any]]) -> list[Row]:
    """Share promoted by kind and way, a column for each size (old rows + drifted rows)."""
    keys = dict.fromkeys((run["kind"], run["way"]) for run in runs)
    return [
        {"candidate": kind, "made": way, **{
            run["size"]: f"{run['promote'] / run['seeds']:.3f} "
                         f"({run['low']:.3f} to {run['high']:.3f})"
            for run in runs if (run["kind"], run["way"]) == (kind, way)}}
        for kind, way in keys
    ]


def summarize(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Shares promoted: the largest of any cell, means over sizes that suffice, repairs by cell."""

    def promoted(*kinds: str, **where: str) -> float:
        chosen = [run for run in runs if run["kind"] in kinds
                  and all(run[key] == value for key, value in where.items())]
        return float(np.mean([run["promote"] / run["seeds"] for run in chosen]))

    def said(kind: str, *verdicts: str) -> float:
        chosen = [run for run in runs if run["kind"] == kind]
        return float(np.mean([sum(run["planted_class"][each] for each in verdicts) / run["seeds"]
                              for run in chosen]))

    large = {size: rows for size, (rows, _) in SIZES.items() if rows >= 1000}
    return {
        "copies_promoted_largest_cell": max(promoted(kind, way=way, size=size) for kind in COPIES
                               for way in (ANEW, ON) for size in SIZES),
        "harmful_promoted": float(np.mean([
            promoted(*HARMFUL, way=way, size=size) for way in (ANEW, ON) for size in large])),
        "harmful_promoted_largest_cell": max(
            promoted(kind, way=way, size=size) for kind in HARMFUL for way in (ANEW, ON)
            for size in large),
        "worse_promoted": promoted("worse by 1 point everywhere"),
        **{f"repair_{way.replace(' ', '_')}_promoted_at_{10 * rows}":
           promoted("repair", way=way, size=size)
           for way in (ON, ANEW) for size, rows in large.items()},
        "thin_class_inconclusive": said(THIN_KIND, "inconclusive"),
        "scarce_worse_class_passed": said(SCARCE_KIND, "not worse", "better"),
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--quick", action="store_true", help="few seeds and images; keeps nothing")
    options = parser.parse_args()
    machine, settings = describe_machine(), GateSettings(bootstrap_rounds=100)
    seeds = min(options.seeds, 10) if options.quick else options.seeds
    world = World.make(5_000 if options.quick else 30_000, 4_000, 20_000, 2_000)
    found = train_all(world)
    reports = judge_all(world, found, settings)
    ways = {ANEW: measure(world, found, "copy, other seed", "repair, trained anew"),
            ON: measure(world, found, "copy, trained on", "repair, trained on")}
    runs = simulate(ways, seeds, settings)
    publish(Report(
        name="gate", command="python -m benchmarks.gate", machine=machine,
        method=" ".join((__doc__ or "").split()), summary=summarize(runs), limits=LIMITS,
        table=simulated_table(runs), more=[trained_table(world, found, reports)], runs=runs,
        page="gate.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
