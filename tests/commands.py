"""The ``mlops`` command in a process of its own, as a person runs it."""

from __future__ import annotations

import subprocess
import sys

COMMAND = [sys.executable, "-c", "from mlops_assets.cli import main; main()"]


def run_mlops(*arguments: str, seconds: float = 400) -> subprocess.CompletedProcess[str]:
    """Run ``mlops`` and wait for its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=seconds
    )
