"""Where the runbooks are, and under which address the console shows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mlops_assets.config import PROJECT_ROOT

FOLDER: Final = "docs/runbooks"
PAGES: Final = "/runbooks"
NAME: Final = re.compile(r"[a-z0-9-]+")


def find_runbook(name: str) -> Path | None:
    """The file of a runbook, or None where there is none of this name."""
    path = PROJECT_ROOT / FOLDER / f"{name}.md"
    return path if NAME.fullmatch(name) and path.is_file() else None


def runbook_address(url: str) -> str:
    """Where the console shows the runbook that an alert names; the name itself if it has none."""
    folder, _, file = url.rpartition("/")
    name = file.removesuffix(".md")
    return f"{PAGES}/{name}" if folder == FOLDER and find_runbook(name) else url
