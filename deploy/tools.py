"""Tools that check files, each set in an environment of its own from a lock in ``deploy/checks``.

They share no package with the platform. ``python -m deploy.tools NAME`` prints the folder of the
programs of ``deploy/checks/NAME.lock``, and installs them first where that is due.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from mlops_assets.config import PROJECT_ROOT

LOCKS: Final = PROJECT_ROOT / "deploy" / "checks"
ENVIRONMENTS: Final = PROJECT_ROOT / ".bootstrap" / "tools"
UV: Final = PROJECT_ROOT / ".bootstrap" / "bin" / "uv"


def tool_folder(name: str) -> Path:
    """The folder of programs of one lock, installed on first use and after a change of the lock.

    Raises:
        FileNotFoundError: there is no such lock.
        subprocess.CalledProcessError: it can not be installed.
    """
    lock = LOCKS / f"{name}.lock"
    wanted = lock.read_bytes()
    folder = ENVIRONMENTS / name
    python, stamp = folder / "bin" / "python", folder / ".installed"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{name}.busy").open("w") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_bytes() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            uv = UV if UV.is_file() else Path(shutil.which("uv") or "uv")
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", python,
                            "--require-hashes", "-r", lock], check=True)
            stamp.write_bytes(wanted)
    return folder / "bin"


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{tool_folder(sys.argv[1])}\n")
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        sys.exit(f"tools: {error}")
