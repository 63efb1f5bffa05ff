"""Run as a script: kills a real step at each of its write points, each in a copy of a store.

``kill_points.py FOLDER MODE``: ``FOLDER/base`` is a home with one materialization. For n = 0, 1,
... a forked child takes ``FOLDER/<MODE>-<n>`` and runs the step again with other content; at the
n-th write point it sends itself SIGKILL. The last child survives. Prints a JSON line a child.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resources.steps import Step, Workspace
from tests.small_store import Home, filler

OUTPUTS = ("left", "right")
OLD = {"a.bin": b"old " * 2000, "deep/b.bin": b"old b"}
NEW = {"a.bin": b"new " * 3000, "deep/b.bin": b"new b", "c.bin": b""}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir"}


def materialize(home: Home, files: dict[str, bytes]) -> None:
    """A step with two outputs of several files."""
    def build(work: Workspace) -> None:
        for asset in OUTPUTS:
            filler(asset, files)(work)

    config = {name: content.hex() for name, content in files.items()}
    home.run(Step("raw", OUTPUTS, config=config), build)


def tell(**facts: Any) -> None:
    """One JSON line on stdout, in one write, which a SIGKILL right after does not lose."""
    os.write(1, json.dumps(facts).encode() + b"\n")


class Killer:
    """Counts write points below a folder: opening to write, fsync, rename, mkdir, remove."""

    def __init__(self, folder: Path, n: int, *, torn: bool) -> None:
        self.folder, self.n, self.torn = str(folder), n, torn
        self.count = 0

    def install(self) -> None:
        """From now on. ``os.replace`` raises the audit event ``os.rename`` too."""
        sync = os.fsync

        def fsync(handle: int) -> None:
            path = str(Path(f"/proc/self/fd/{handle}").readlink())
            self.reach("fsync", path)
            sync(handle)
            self.reach("after fsync", path)

        os.fsync = fsync
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            self.reach(event, str(arguments[0]))
        elif event in EVENTS:
            self.reach(event, " -> ".join(map(str, arguments[:2])))

    def reach(self, what: str, path: str) -> None:
        """Die here when it is this point's turn; torn, half of the file is lost with it."""
        if (self.folder not in path and what not in EVENTS) or (self.torn and what != "fsync"):
            return
        if self.count == self.n:
            tell(n=self.n, what=what, path=path)
            if self.torn and what == "fsync" and Path(path).is_file():
                os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def go_through(attempt: Callable[[int], None]) -> None:
    """``attempt`` in a child for n = 0, 1, ... until one is not killed at its n-th point."""
    n = 0
    while True:
        child = os.fork()
        if child == 0:
            attempt(n)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            tell(n=n, what="survived", code=os.waitstatus_to_exitcode(status))
            return
        n += 1


def main() -> None:
    """Go through all points."""
    folder, mode = Path(sys.argv[1]), sys.argv[2]

    def attempt(n: int) -> None:
        copy = folder / f"{mode}-{n}"
        shutil.copytree(folder / "base", copy)
        home = Home(copy)
        Killer(copy / "home", n, torn=mode == "torn").install()
        materialize(home, NEW)

    go_through(attempt)


if __name__ == "__main__":
    main()
