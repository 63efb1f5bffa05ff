"""Reads lock files."""

from __future__ import annotations

import re
from pathlib import Path

from mlops_assets.config import PROJECT_ROOT

IMAGES = PROJECT_ROOT / "deploy" / "requirements"
_BLOCK = re.compile(r"\n(?=[a-z0-9])")
_PIN = re.compile(r"([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==(\S+)")


def read_pins(path: Path) -> dict[str, set[tuple[str, frozenset[str]]]]:
    """Package to its versions, one for each marker, with their hashes."""
    found: dict[str, set[tuple[str, frozenset[str]]]] = {}
    for block in _BLOCK.split(path.read_text()):
        if pin := _PIN.match(block):
            hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
            assert hashes, f"{path.name}: {pin[0]} has no hash"
            found.setdefault(pin[1], set()).add((pin[2], hashes))
    return found


def image_pins(target: str) -> dict[str, set[tuple[str, frozenset[str]]]]:
    """What one image installs."""
    if target != "platform":
        return read_pins(IMAGES / f"{target}.lock")
    return read_pins(IMAGES / "platform.lock") | read_pins(IMAGES / "torch.lock")
