"""What a service container installs: the serving part of the lock file, every package pinned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError

REQUIREMENTS: Final = (
    "bentoml",
    "cachetools",
    "cryptography",
    "httptools",
    "limits",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "opentelemetry-exporter-otlp-proto-http",
    "orjson",
    "prometheus-client",
    "psycopg2-binary",
    "pydantic",
    "pydantic-settings",
    "pyjwt",
    "python-multipart",
    "redis",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "uvloop",
)
_PIN: Final = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)(\[[^]]*\])?==[^\s\\]+(?P<marker> ;[^\\]*)?"
)
_PARENT: Final = re.compile(r"^    #(?: via)?\s+(?P<parent>[a-z0-9][a-z0-9._-]*)")


class UnpinnedRequirement(PlatformError):
    """The lock file does not pin a package that serving needs."""


def serving_requirements(lock: Path) -> list[str]:
    """``name==version`` lines (with their markers) of what serving needs, from the lock file.

    The closure follows the lock's ``# via`` notes, so transitive packages are pinned as well.

    Raises:
        UnpinnedRequirement: the lock file does not pin one of ``REQUIREMENTS``.
    """
    pins: dict[str, list[str]] = {}
    children: dict[str, set[str]] = {}
    name = ""
    for line in lock.read_text().splitlines():
        if pin := _PIN.match(line):
            name = pin["name"]
            pins.setdefault(name, []).append(pin.group().strip())
        elif (via := _PARENT.match(line)) and name:
            children.setdefault(via["parent"], set()).add(name)
    if missing := [name for name in REQUIREMENTS if name not in pins]:
        raise UnpinnedRequirement(f"{lock} does not pin {', '.join(missing)}: lock again")
    needed: set[str] = set()
    waiting = list(REQUIREMENTS)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(children.get(name, ()))
    return [pin for name in sorted(needed) for pin in pins[name]]
