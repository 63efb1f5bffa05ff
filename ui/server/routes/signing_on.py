"""Routes of single sign-on: to the identity provider, and back."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

from ui.server.routes.context import guard_of
from ui.server.single_sign_on import FLOW_SECONDS, PATH, SingleSignOn

COOKIE: Final = "mlops_console_flow"
# The session's cookie is not sent where another site's page led; from this page on it is.
INSIDE: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Signed in</title>'
    '<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Signed in: go on</a></p></html>')

router = APIRouter(prefix=PATH, include_in_schema=False)


def _single_sign_on(request: Request) -> SingleSignOn:
    found: SingleSignOn | None = guard_of(request).single_sign_on
    if found is None:
        raise HTTPException(404, "single sign-on is not set up; see docs/console.md")
    return found


@router.get("/begin")
async def begin(request: Request) -> Response:
    """Send the browser to the provider."""
    sign_on = _single_sign_on(request)
    where, flow = await run_in_threadpool(sign_on.begin)
    response = RedirectResponse(where, 302, headers={"cache-control": "no-store"})
    response.set_cookie(COOKIE, flow, max_age=FLOW_SECONDS, path=PATH, httponly=True,
                        samesite="lax", secure=guard_of(request).secure(request))
    return response


@router.get("/back")
async def back(request: Request, state: str = "", code: str = "", error: str = "") -> Response:
    """Begin a session for whom the provider names."""
    sign_on, guard = _single_sign_on(request), guard_of(request)
    if error or not code:
        raise HTTPException(403, f"the identity provider says: {error[:60] or 'nothing'}")
    known = await run_in_threadpool(
        sign_on.finish, state, request.cookies.get(COOKIE, ""), code)
    response = HTMLResponse(INSIDE, headers={"cache-control": "no-store"})
    guard.admit(request, response, known.name, known.role, own=False)
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")
    return response
