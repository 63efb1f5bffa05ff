"""Environments of what is compared with: made beside the project's own, from pinned lists."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.report import ROOT

ENVIRONMENTS: Final = ROOT / "benchmarks" / ".peers"
UV: Final = ROOT / ".bootstrap" / "bin" / "uv"


def install(wanted: Path) -> Path:
    """The Python of the environment of a list of requirements, made on first use.

    Raises:
        subprocess.CalledProcessError: it can not be installed.
    """
    folder = ENVIRONMENTS / wanted.stem
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.is_file() or stamp.read_text() != wanted.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        subprocess.run([UV, "pip", "install", "--quiet", "--python", python, "-r", wanted],
                       check=True)
        stamp.write_text(wanted.read_text())
    return python
