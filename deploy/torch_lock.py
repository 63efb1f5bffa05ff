"""Splits a lock in two: torch with what only torch needs, and the rest.

``python -m deploy.torch_lock LOCK TORCH_LOCK`` moves the first part out of LOCK. An image can then
take torch from elsewhere, as a build for CPUs alone, with everything else as it is locked.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

TORCH: Final = frozenset({"torch", "torchvision"})
_BLOCK: Final = re.compile(r"\n(?=[a-z0-9])")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
# `# via` stands alone above several parents, or before the only one.
_PARENT: Final = re.compile(r"^    #(?: via)? +(?!via$)([a-z0-9][a-z0-9._-]*)", re.MULTILINE)


def split_lock(text: str) -> tuple[str, str]:
    """The lock without torch's part, and that part, both with the hashes.

    Raises:
        ValueError: torch is not in it.
    """
    head, *blocks = _BLOCK.split(text)
    named = [(match.group(), block) for block in blocks if (match := _NAME.match(block))]
    parents: dict[str, set[str]] = {}
    for name, block in named:
        parents.setdefault(name, set()).update(_PARENT.findall(block))
    if not parents.keys() >= TORCH:
        raise ValueError("the lock does not hold torch")
    moved = set(TORCH)
    while more := {
        name for name, above in parents.items() if above and above <= moved and name not in moved
    }:
        moved |= more
    rest = [block.rstrip("\n") for name, block in named if name not in moved]
    torch = [block.rstrip("\n") for name, block in named if name in moved]
    note = "# Moved out of the lock beside it by `make lock`: torch and what only torch needs."
    return "\n".join([head, *rest, ""]), "\n".join([note, *torch, ""])


def main() -> None:
    """Rewrite both files."""
    lock, torch_lock = Path(sys.argv[1]), Path(sys.argv[2])
    rest, torch = split_lock(lock.read_text())
    lock.write_text(rest)
    torch_lock.write_text(torch)


if __name__ == "__main__":
    main()
