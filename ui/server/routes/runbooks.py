"""The runbooks: what to do about an alert, one click from it."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Response

from ui.server.routes.context import Anyone
from ui.server.runbooks import PAGES, find_runbook

router = APIRouter()


@router.get(f"{PAGES}/{{name}}", include_in_schema=False)
def get_runbook(name: str, _: Anyone) -> Response:
    """One runbook, as it is written."""
    path = find_runbook(name)
    if path is None:
        raise HTTPException(404, f"there is no runbook `{name[:60]}`")
    return Response(path.read_bytes(), media_type="text/plain; charset=utf-8")
