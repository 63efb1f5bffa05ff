"""Load on one server: wrk in a process of its own, and the CPU time that the server took."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import psutil

HERE: Final = Path(__file__).resolve().parent
WRK_SCRIPT: Final = HERE.parent / "wrk.sh"
WRK_FOLDER: Final = HERE.parent / ".peers" / "wrk"
BOUNDARY: Final = "b7e1c0ffee"
Kind = Literal["raw", "multipart", "mlflow", "v2", "json"]
TYPES: Final[dict[Kind, str]] = {
    "raw": "image/png", "multipart": f"multipart/form-data; boundary={BOUNDARY}",
    "mlflow": "application/json", "v2": "application/json", "json": "application/json",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run against one server. Latencies in milliseconds, CPU of the server's processes."""

    requests_per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    bad: int


def encode(image: bytes, kind: Kind) -> bytes:
    """One request's body around the same PNG bytes."""
    if kind == "raw":
        return image
    if kind == "multipart":
        head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
                'filename="a.png"\r\nContent-Type: image/png\r\n\r\n')
        return head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
    text = base64.b64encode(image).decode()
    if kind == "mlflow":
        return json.dumps({"inputs": [text]}).encode()
    if kind == "json":
        return json.dumps({"images": [text]}).encode()
    return json.dumps({"inputs": [
        {"name": "images", "shape": [1, 1], "datatype": "BYTES", "data": [text]}]}).encode()


def write_bodies(images: Sequence[bytes], kind: Kind, path: Path) -> None:
    """The file that ``load.lua`` posts from."""
    with path.open("wb") as file:
        for image in images:
            body = encode(image, kind)
            file.write(b"%d\n" % len(body) + body)


def cpu_seconds(root: psutil.Process) -> float:
    """User and system time of a process and all below it, ended ones too."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@cache
def wrk_binary() -> str:
    """The path of a ``wrk``; fetched once where the machine has none."""
    done = subprocess.run([WRK_SCRIPT, WRK_FOLDER], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def measure(
    url: str, *, path: str, kind: Kind, bodies: Path, server: psutil.Process, connections: int,
    seconds: float, key: str | None = None,
) -> Measured:
    """Post for ``seconds`` over ``connections`` kept-alive connections."""
    variables = {"BODIES": str(bodies), "BODY_TYPE": TYPES[kind], "BODY_PATH": path}
    if key is not None:
        variables["BODY_KEY"] = key
    command = [wrk_binary(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s",
               "-s", str(HERE / "load.lua"), url]
    before = cpu_seconds(server)
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True,
                          check=True)
    cpu = cpu_seconds(server) - before
    line = next(each for each in done.stdout.splitlines() if each.startswith("RESULT "))
    told = json.loads(line.removeprefix("RESULT "))
    requests = max(1, told["requests"])
    return Measured(
        requests_per_second=requests / (told["microseconds"] / 1e6), cpu_ms=1000 * cpu / requests,
        p50_ms=told["p50_us"] / 1000, p99_ms=told["p99_us"] / 1000, bad=told["bad"],
    )
