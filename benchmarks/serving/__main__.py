"""The service against its peers: ``python -m benchmarks.serving``.

Every server runs alone, is warmed up, and is asked over kept-alive connections by wrk in a process
of its own, the same PNG bytes in turn; rounds repeat the whole list in another order. Ours runs
as in production: authentication by API key, journal, metrics and provenance on, its answer cache
off, as the peers have none.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Report, describe_machine, publish
from benchmarks.serving.load import measure, write_bodies
from benchmarks.serving.model import make_images, write_model
from benchmarks.serving.servers import (
    NAIVE,
    OURS,
    SERVERS,
    WITH_OURS,
    Server,
    python_of,
    running,
)
from resources.api_keys import ApiKeys
from resources.platform_db import PlatformDatabase

CONNECTIONS: Final = (1, 16, 64)
IMAGES: Final = 500
WARM_SECONDS: Final = 2.0
LARGE_SECONDS_FACTOR: Final = 5
Run = dict[str, Any]
OWN: Final = next(each for each in SERVERS if each.name == OURS)
OWN_MULTIPART: Final = Server(
    f"{OURS}, multipart", OWN.environment, OWN.command, path=OWN.path, kind="multipart")


def make_key(home: Path) -> str:
    """A real API key in the platform database of ``home``, with a rate that no run reaches."""
    with closing(PlatformDatabase(home)) as database:
        made = ApiKeys(database).create(name="bench", scopes=("predict",), actor="bench",
                                        rate="100000000/minute", reason="benchmark")
    return made.text


def own_variables(scratch: Path) -> tuple[str, dict[str, str]]:
    """An API key, and the settings of our service: its answer cache off, as the peers have none."""
    keys = scratch / "keys"
    key = make_key(keys)
    return key, {"MLOPS_DATABASE_URL": f"sqlite:///{keys / 'platform.db'}", "BENCH_KEY": key,
                 "MLOPS_SERVICE_CACHE_ENTRIES": "0", "MLOPS_SERVICE_MAX_WAIT": "10",
                 # A model that was never trained is sure of nothing and knows no image.
                 "MLOPS_SERVICE_KEEP_BELOW": "0", "MLOPS_SERVICE_KEEP_NOVEL": "false"}


def run_server(
    server: Server, model: Path, scratch: Path, images: list[bytes], seconds: float,
    connections: tuple[int, ...] = CONNECTIONS,
) -> list[Run]:
    """Start one server and measure it at every concurrency."""
    bodies = scratch / f"{server.kind}.bodies"
    if not bodies.is_file():
        write_bodies(images, server.kind, bodies)
    key, variables = own_variables(scratch) if server.name.startswith(OURS) else (None, {})
    runs = []
    with running(server, model, scratch, images[0], **variables) as (url, root):
        for count in connections:
            for took in (WARM_SECONDS, seconds):
                found = measure(url, path=server.path, kind=server.kind, bodies=bodies,
                                server=root, connections=count, seconds=took, key=key)
            if found.bad:
                raise RuntimeError(f"{server.name}: {found.bad} bad answers at {count}")
            runs.append({"server": server.name, "connections": count, **asdict(found)})
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    return runs


def run_limit(model: Path, bodies: Path, seconds: float) -> float:
    """Images a second of the in-process limit."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.limit", model, bodies, str(seconds)],
        check=True, capture_output=True, text=True, env=os.environ)
    return float(json.loads(done.stdout)["images_per_second"])


def median(runs: list[Run], server: str, connections: int, value: str) -> float:
    """Over the rounds."""
    return float(statistics.median(
        run[value] for run in runs
        if run["server"] == server and run.get("connections") == connections))


def summarize(runs: list[Run], names: list[str]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The figures that limits are set on, and the table."""
    summary: dict[str, float] = {}
    own = {count: median(runs, OURS, count, "requests_per_second") for count in CONNECTIONS}
    peers = [name for name in names if name != WITH_OURS and not name.startswith(OURS)]
    summary["cpu_ratio_vs_naive_fastapi_c64"] = (
        median(runs, NAIVE, 64, "cpu_ms") / median(runs, OURS, 64, "cpu_ms"))
    summary["requests_ratio_vs_naive_fastapi_c64"] = (
        own[64] / median(runs, NAIVE, 64, "requests_per_second"))
    for count in (16, 64):
        best = max(median(runs, name, count, "requests_per_second") for name in peers)
        summary[f"requests_ratio_vs_best_peer_c{count}"] = own[count] / best
        summary[f"requests_ratio_vs_peer_with_our_program_c{count}"] = (
            own[count] / median(runs, WITH_OURS, count, "requests_per_second"))
        if count == 64:
            cpu = min(median(runs, name, count, "cpu_ms") for name in peers)
            summary["cpu_ratio_vs_best_peer_c64"] = cpu / median(runs, OURS, count, "cpu_ms")
    fastest = min(median(runs, name, 1, "p50_ms") for name in peers)
    summary["p50_over_best_peer_c1"] = median(runs, OURS, 1, "p50_ms") / fastest
    table = []
    for name in names:
        row: dict[str, Any] = {"server": name}
        for count in CONNECTIONS:
            row[f"requests/s at {count}"] = median(runs, name, count, "requests_per_second")
        row |= {"CPU ms at 64": median(runs, name, 64, "cpu_ms"),
                "p50 ms at 1": median(runs, name, 1, "p50_ms"),
                "p99 ms at 64": median(runs, name, 64, "p99_ms")}
        table.append(row)
    return summary, table


def fractions(
    runs: list[Run], scratch: Path, seconds: float, rounds: int
) -> dict[str, float]:
    """Share of the in-process limit at 28 and 224 px, limit and service in turn."""
    found = {}
    for side, suffix in ((28, ".png"), (224, ".jpg")):
        place = scratch / f"side-{side}"
        place.mkdir()
        write_model(place / "model", side)
        images = make_images(IMAGES if side < 100 else 64, side, suffix)
        bodies = place / "raw.bodies"
        write_bodies(images, "raw", bodies)
        shares = []
        # A batch of large images takes a second: a short run would begin and end within one.
        lasting = seconds * (1 if side < 100 else LARGE_SECONDS_FACTOR)
        for _ in range(rounds):
            limit = run_limit(place / "model", bodies, lasting)
            (run,) = run_server(OWN, place / "model", place, images, lasting, (64,))
            shares.append(run["requests_per_second"] / limit)
            runs.append({**run, "side": side, "server": f"{OURS}, {side} px", "limit": limit})
        found[f"fraction_of_in_process_limit_{side}px"] = float(statistics.median(shares))
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one measurement")
    parser.add_argument("--only", action="append", help="a server's name; keeps nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers end with the benchmark
    servers = [*SERVERS, OWN_MULTIPART]
    if options.only:
        servers = [each for each in servers if each.name in options.only]
    for server in servers:
        python_of(server.environment)
    machine = describe_machine()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bench-serve-") as folder:
        scratch = Path(folder)
        write_model(scratch / "model", 28)
        images = make_images(IMAGES, 28, ".png")
        for number in range(options.rounds):
            order = random.Random(number).sample(servers, len(servers))
            for server in order:
                found = run_server(server, scratch / "model", scratch, images, options.seconds)
                runs += [{"round": number, **run} for run in found]
        if options.only:
            return
        shares = fractions(runs, scratch, options.seconds, options.rounds)
    summary, table = summarize(runs, [each.name for each in servers])
    publish(Report(
        name="serve", command="python -m benchmarks.serving", machine=machine, runs=runs,
        method=f"timm `resnet18` in fp32 over {IMAGES} distinct 28 px PNG images; "
        f"{options.seconds:g} s after a warm-up of {WARM_SECONDS:g} s, medians of "
        f"{options.rounds} rounds in changing order. Peers run the program that `torch.onnx` "
        f"writes, but for {WITH_OURS}, which is no peer. CPU is of the server's processes, a "
        "request.",
        summary=summary | shares, table=table,
        limits={
            "cpu_ratio_vs_naive_fastapi_c64": "at least 10",
            "requests_ratio_vs_naive_fastapi_c64": "at least 8",
            "requests_ratio_vs_best_peer_c64": "at least 1.8",
            "requests_ratio_vs_best_peer_c16": "at least 1.8",
            "p50_over_best_peer_c1": "at most 1",
            "fraction_of_in_process_limit_28px": "at least 0.65",
            "fraction_of_in_process_limit_224px": "at least 0.9",
        },
    ), quick=False)


if __name__ == "__main__":
    main()
