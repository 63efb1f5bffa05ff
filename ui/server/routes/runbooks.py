"""The runbooks: what to do about an alert, one click from it."""

from __future__ import annotations

import re
from typing import Final

from fastapi import APIRouter, HTTPException, Response

from mlops_assets.config import PROJECT_ROOT
from ui.server.routes.context import Anyone

router = APIRouter()
FOLDER: Final = PROJECT_ROOT / "docs" / "runbooks"
PAGES: Final = "/runbooks"
NAME: Final = re.compile(r"[a-z0-9-]+")


def runbook_address(url: str) -> str:
    """Where the console shows the runbook that an alert names; the name itself if it has none."""
    name = url.rpartition("/")[2].removesuffix(".md")
    ours = url.startswith("docs/runbooks/") and (FOLDER / f"{name}.md").is_file()
    return f"{PAGES}/{name}" if ours else url


@router.get(f"{PAGES}/{{name}}", include_in_schema=False)
def get_runbook(name: str, _: Anyone) -> Response:
    """One runbook, as it is written."""
    path = FOLDER / f"{name}.md"
    if not NAME.fullmatch(name) or not path.is_file():
        raise HTTPException(404, f"there is no runbook `{name[:60]}`")
    return Response(path.read_bytes(), media_type="text/plain; charset=utf-8")
