"""What overload does to those who are served: ``python -m benchmarks.serving.overload``.

One service with resnet18 at 224 px, on loopback, with the settings that docs/serving.md gives for
an overloaded service. Its capacity is what a closed loop gets answered. Unloaded is an open loop at
a quarter of it, overloaded one at four times it; both send at random, independent moments. p99 is
of answers with status 200, from the moment when the request was due.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.report import Report, describe_machine, publish
from benchmarks.serving.__main__ import make_key
from benchmarks.serving.model import make_images, write_model
from benchmarks.serving.openloop import Outcome, closed_loop, open_loop, run
from benchmarks.serving.servers import OURS, SERVERS, running

SIDE: Final = 224
SETTINGS: Final = {"MLOPS_SERVICE_MAX_WAIT": "0.08"}
CLIENTS: Final = 2
LESS, MORE = 0.25, 4.0
Run = dict[str, Any]


def post(image: bytes, key: str | None = None) -> bytes:
    """The bytes of a request that uploads an image."""
    credential = f"authorization: Bearer {key}\r\n" if key else ""
    head = (f"POST /v1/predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: image/jpeg\r\n"
            f"{credential}content-length: {len(image)}\r\n\r\n")
    return head.encode() + image


def percentile(values: list[float], share: float) -> float:
    """The least value that ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def describe(outcomes: list[Outcome], seconds: float) -> Run:
    """Rates and milliseconds of what was answered, and of what was refused."""
    good = [each.seconds for each in outcomes if each.status == 200]
    shed = [each for each in outcomes if each.status in (429, 503)]
    other = len(outcomes) - len(good) - len(shed)
    if other or not good or not all(each.retry_after for each in shed):
        raise RuntimeError(f"{other} answers neither 200 nor refused with Retry-After")
    return {
        "offered_per_second": len(outcomes) / seconds, "accepted_per_second": len(good) / seconds,
        "requests": len(outcomes),
        "p50_ms": 1000 * percentile(good, 0.5), "p99_ms": 1000 * percentile(good, 0.99),
        "refused": len(shed),
        "refused_p99_ms": 1000 * percentile([each.seconds for each in shed], 0.99) if shed else 0.0,
    }


def one_round(port: int, requests: list[bytes], seconds: float, number: int) -> list[Run]:
    """Capacity, unloaded, overloaded."""
    run(port, requests, partial(closed_loop, clients=CLIENTS, seconds=2.0))
    full = describe(
        run(port, requests, partial(closed_loop, clients=CLIENTS, seconds=seconds / 2)),
        seconds / 2)
    capacity = full["accepted_per_second"]
    runs = [{"round": number, "load": "closed loop", "times_capacity": 1.0, **full}]
    for name, times, took in (("unloaded", LESS, seconds * 2), ("overloaded", MORE, seconds)):
        outcomes = run(port, requests, partial(
            open_loop, rate=times * capacity, seconds=took, seed=number))
        runs.append({"round": number, "load": name, "times_capacity": times,
                     **describe(outcomes, took)})
    for each in runs:
        print(json.dumps(each), file=sys.stderr, flush=True)
    return runs


def summarize(runs: list[Run]) -> dict[str, float]:
    """Medians over the rounds."""
    found: dict[str, list[float]] = {}
    for number in {each["round"] for each in runs}:
        full, less, more = (each for each in runs if each["round"] == number)
        for name, value in {
            "p99_overload_over_unloaded": more["p99_ms"] / less["p99_ms"],
            "accepted_over_capacity": more["accepted_per_second"] / full["accepted_per_second"],
            "offered_over_capacity": more["offered_per_second"] / full["accepted_per_second"],
            "refused_p99_ms": more["refused_p99_ms"],
            "refused_share_unloaded": less["refused"] / less["requests"],
        }.items():
            found.setdefault(name, []).append(value)
    return {name: float(statistics.median(values)) for name, values in found.items()}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving.overload", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of overload, in one round")
    parser.add_argument("--quick", action="store_true", help="one short round; keeps nothing")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="another setting of the service; keeps nothing")
    options = parser.parse_args()
    settings = SETTINGS | dict(each.split("=", 1) for each in options.set)
    rounds, seconds = (1, 5.0) if options.quick else (options.rounds, options.seconds)
    machine = describe_machine()
    own = next(each for each in SERVERS if each.name == OURS)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bench-overload-") as folder:
        scratch = Path(folder)
        write_model(scratch / "model", SIDE)
        images = make_images(64, SIDE, ".jpg")
        key = make_key(scratch / "keys")
        variables = {"MLOPS_DATABASE_URL": f"sqlite:///{scratch / 'keys' / 'platform.db'}",
                     "BENCH_KEY": key, "MLOPS_SERVICE_CACHE_ENTRIES": "0", **settings}
        with running(own, scratch / "model", scratch, images[0], **variables) as (url, _):
            port = httpx.URL(url).port
            assert port is not None
            for number in range(rounds):
                runs += one_round(port, [post(each, key) for each in images], seconds, number)
    named = ", ".join(f"`{name}={value}`" for name, value in settings.items())
    publish(Report(
        name="overload", command="python -m benchmarks.serving.overload", machine=machine,
        runs=runs, summary=summarize(runs), table=runs,
        method=f"timm `resnet18` in fp32, {SIDE} px JPEG, {named}. Capacity is a closed loop of "
        f"{CLIENTS} clients; unloaded is {LESS:g} times, overloaded {MORE:g} times as many "
        "requests, sent at random moments whatever comes back. Times count from when a request "
        "was due; medians of the rounds.",
        limits={"p99_overload_over_unloaded": "at most 2",
                "offered_over_capacity": "at least 3.8",
                "refused_share_unloaded": "at most 0.01"},
    ), quick=options.quick or bool(options.set))


if __name__ == "__main__":
    main()
