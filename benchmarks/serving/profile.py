"""Where the service's CPU time goes: ``python -m benchmarks.serving.profile``; needs Linux's perf.

Samples of the worker at 64 connections, by the library that they fell into.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.report import Report, describe_machine, publish
from benchmarks.serving.__main__ import IMAGES, OWN, own_variables
from benchmarks.serving.load import measure, write_bodies
from benchmarks.serving.model import make_images, write_model
from benchmarks.serving.servers import running

CONNECTIONS: Final = 64
HERTZ: Final = 499
KINDS: Final = (
    ("the program (ONNX Runtime)", "onnxruntime"),
    ("Python's interpreter", "libpython|/python"),
    ("the kernel: sockets, journal, threads", "kernel|vdso"),
    ("decoding (OpenCV, libpng, zlib)", "cv2|libpng|libz|jpeg"),
    ("NumPy", "multiarray|openblas|numpy"),
    ("HTTP and event loop (uvloop, httptools)", "loop.cpython|parser.cpython|httptools"),
)
OTHER: Final = "the rest: allocator, JSON, base64, hashes"
_LINE: Final = re.compile(r"^\s*([\d.]+)%\s+(\S+)")


def by_kind(report: str) -> dict[str, float]:
    """Share of all samples of each kind, from ``perf report --sort dso``."""
    shares = dict.fromkeys([name for name, _ in KINDS] + [OTHER], 0.0)
    for line in report.splitlines():
        found = _LINE.match(line)
        if found:
            kind = next((name for name, pattern in KINDS if re.search(pattern, found[2])), OTHER)
            shares[kind] += float(found[1]) / 100
    return shares


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.profile",
                                     description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true", help="two seconds; keeps nothing")
    options = parser.parse_args()
    perf = shutil.which("perf")
    if perf is None:
        sys.exit("perf is not installed: apt-get install linux-perf")
    seconds = 2.0 if options.quick else options.seconds
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
        scratch = Path(folder)
        write_model(scratch / "model", 28)
        images = make_images(IMAGES, 28, ".png")
        write_bodies(images, "raw", scratch / "raw.bodies")
        key, variables = own_variables(scratch)
        samples = scratch / "perf.data"
        with running(OWN, scratch / "model", scratch, images[0], **variables) as (url, root):
            def load(lasting: float) -> float:
                return measure(url, path=OWN.path, kind=OWN.kind, bodies=scratch / "raw.bodies",
                               server=root, connections=CONNECTIONS, seconds=lasting,
                               key=key).cpu_ms

            load(2.0)
            workers = ",".join(str(each.pid) for each in root.children(recursive=True))
            recording = subprocess.Popen(
                [perf, "record", "-F", str(HERTZ), "-o", samples, "-p", workers],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            cpu_ms = load(seconds)
            recording.send_signal(signal.SIGINT)
            recording.wait()
        told = subprocess.run(
            [perf, "report", "-i", samples, "--no-children", "--sort", "dso"],
            check=True, capture_output=True, text=True).stdout
    shares = by_kind(told)
    publish(Report(
        name="serve-profile", command="python -m benchmarks.serving.profile", machine=machine,
        runs=[{"cpu_ms": cpu_ms, **shares}],
        table=[{"where": name, "share": share, "CPU ms a request": share * cpu_ms}
               for name, share in shares.items()],
        summary={"cpu_ms_a_request": cpu_ms,
                 "share_outside_the_program": 1 - shares[KINDS[0][0]]},
        method=f"perf at {HERTZ} Hz over {seconds:g} s at {CONNECTIONS} connections, 28 px PNG, "
        "auth, journal and metrics on.", limits={},
    ), quick=options.quick)


if __name__ == "__main__":
    main()
