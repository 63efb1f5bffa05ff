"""What receipts cost: latency with and without the journal's chain, and a Merkle proof.

The service with 28 px images, its journal, metrics and authentication on; "off" is the same service
whose journal lines are not chained by hashes, and have no file that tells their end. Both in turn,
at 1 and 16 connections; medians over the rounds of each round's ratio. Then proofs of rows at
random places in a tree of 10,000,000 rows, from the file in which the platform keeps it, each
checked against the root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.report import ROOT, Report, Row, describe_machine, publish
from benchmarks.serving.__main__ import own_variables
from benchmarks.serving.load import measure, write_bodies
from benchmarks.serving.model import make_images, write_model
from benchmarks.serving.servers import OURS, SERVERS, running
from mlops_assets.provenance.merkle import verify
from mlops_assets.provenance.tree_file import TreeFile, tree_bytes

CONNECTIONS: Final = (1, 16)
ROWS, PROOFS = 10_000_000, 1000
OFF: Final = {"PYTHONPATH": f"{ROOT / 'benchmarks' / 'receipts_off'}{os.pathsep}{ROOT}"}


def latencies(scratch: Path, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A run for each mode, number of connections and round."""
    (server,) = (each for each in SERVERS if each.name == OURS)
    images = make_images(200, 28, ".png")
    write_model(scratch / "model", 28)
    bodies = scratch / "raw.bodies"
    write_bodies(images, server.kind, bodies)
    key, variables = own_variables(scratch)
    runs = []
    modes: list[tuple[str, dict[str, str]]] = [("on", {}), ("off", OFF)]
    for number in range(rounds):
        # Who comes first changes, as a machine's speed drifts.
        for mode, extra in modes if number % 2 == 0 else modes[::-1]:
            with running(server, scratch / "model", scratch, images[0], **variables,
                         **extra) as (url, root):
                for count in CONNECTIONS:
                    for took in (1.0, seconds):
                        found = measure(url, path=server.path, kind=server.kind, bodies=bodies,
                                        server=root, connections=count, seconds=took, key=key)
                    runs.append({"round": number, "receipts": mode, "connections": count,
                                 "p50_ms": found.p50_ms, "p99_ms": found.p99_ms,
                                 "cpu_ms": found.cpu_ms})
                    print(runs[-1], flush=True)
    return runs


def prove(folder: Path, rows: int) -> dict[str, float]:
    """Milliseconds of a proof, and of making the tree."""
    leaves = [number.to_bytes(8) for number in range(rows)]
    keys = sorted(hashlib.sha256(leaf).digest() for leaf in leaves)
    began = time.perf_counter()
    path = folder / "rows.tree"
    with path.open("wb") as file:
        file.writelines(tree_bytes(keys, leaves))
        made = time.perf_counter() - began
        # What the system writes later would be measured as the time of a proof.
        file.flush()
        os.fsync(file.fileno())
    with path.open("rb") as file:
        file.seek(-32, os.SEEK_END)
        root = file.read().hex()
    chance, took = random.Random(0), []
    for _ in range(PROOFS):
        index = chance.randrange(rows)
        began = time.perf_counter()
        with TreeFile(path) as tree:
            assert tree.find(keys[index]) == index
            proof = tree.prove(index)
        took.append(1000 * (time.perf_counter() - began))
        assert verify(leaves[index], proof, root)
    return {"proof_ms": statistics.median(took), "proof_ms_largest": max(took),
            "tree_seconds": made, "tree_mib": path.stat().st_size / 2**20}


def _of(runs: list[dict[str, Any]], number: int, mode: str, count: int, value: str) -> float:
    (run,) = (each for each in runs
              if (each["round"], each["receipts"], each["connections"]) == (number, mode, count))
    return float(run[value])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receipts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--quick", action="store_true", help="small sizes; keeps nothing")
    options = parser.parse_args()
    rounds, seconds, rows = (1, 1.0, 10_000) if options.quick else (
        options.rounds, options.seconds, ROWS)
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        runs = latencies(Path(scratch), rounds, seconds)
        summary = prove(Path(scratch), rows)

    def median(mode: str, count: int, value: str) -> float:
        return statistics.median(run[value] for run in runs
                                 if (run["receipts"], run["connections"]) == (mode, count))

    table: list[Row] = [
        {"receipts": mode, "connections": count,
         **{value: median(mode, count, value) for value in ("p50_ms", "p99_ms", "cpu_ms")}}
        for count in CONNECTIONS for mode in ("on", "off")]
    for count in CONNECTIONS:
        for value in ("p50_ms", "p99_ms", "cpu_ms"):
            summary[f"{value}_on_over_off_c{count}"] = statistics.median(
                _of(runs, number, "on", count, value) / _of(runs, number, "off", count, value)
                for number in range(rounds))
    publish(Report(
        name="receipts", command="python -m benchmarks.receipts", machine=machine,
        method=" ".join((__doc__ or "").split()) + f" {rounds} rounds of {seconds:g} s.",
        summary=summary, table=table, runs=runs,
        limits={"p99_ms_on_over_off_c1": "<= 1.05", "p99_ms_on_over_off_c16": "<= 1.05",
                "proof_ms_largest": "<= 10"}, page="provenance.md",
    ), quick=options.quick)


if __name__ == "__main__":
    main()
