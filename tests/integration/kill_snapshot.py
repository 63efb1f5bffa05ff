"""Run as a script: kills a snapshot or its restoring at each of its write points.

``kill_snapshot.py FOLDER create|restore``: for n = 0, 1, ... a forked child writes
``FOLDER/target-<n>`` and sends itself SIGKILL at the n-th write point. The last child survives.
"""

from __future__ import annotations

import sys
from pathlib import Path

from resources.snapshot import create, restore
from tests.integration.kill_points import Killer, go_through


def main() -> None:
    """Go through all points."""
    folder, what = Path(sys.argv[1]), sys.argv[2]

    def attempt(n: int) -> None:
        target = folder / f"target-{n}"
        Killer(folder, n, torn=False).install()
        if what == "create":
            create(folder / "home", target)
        else:
            restore(folder / "snapshot", target, lambda _: None)

    go_through(attempt)


if __name__ == "__main__":
    main()
