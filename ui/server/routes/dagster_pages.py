"""Dagster's own pages at ``/dagster``, to look at: for people who reach the console from elsewhere.

Dagster has no login, and its GraphQL takes changes from any page. So what others may reach is a
webserver that was started with ``--read-only``, behind the console's sessions; that it is one is
asked before anything of it is shown. Its live updates fall back from a web socket to polling.
"""

from __future__ import annotations

import time
from typing import Final
from urllib.parse import unquote

import httpx
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.background import BackgroundTask

from ui.server.routes.context import guard_of

PREFIX: Final = "/dagster"
SECONDS: Final = 30.0
SURE_SECONDS: Final = 10.0
MOST_BYTES: Final = 1 << 20
ASKED: Final = frozenset({
    "accept", "accept-encoding", "accept-language", "cache-control", "content-type",
    "if-modified-since", "if-none-match"})
# Of one connection, not for the console's own browser session, or the address underneath.
DROPPED: Final = frozenset({
    "connection", "keep-alive", "location", "proxy-authenticate", "set-cookie", "te", "trailer",
    "transfer-encoding", "upgrade"})
PERMISSIONS: Final = "{ permissions { permission value } }"

router = APIRouter(include_in_schema=False)


class DagsterPages:
    """The read-only webserver underneath."""

    def __init__(self, url: str) -> None:
        self.client: Final = httpx.AsyncClient(base_url=url, timeout=SECONDS)
        self._sure_until = 0.0

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()

    async def be_sure(self) -> None:
        """That it can change nothing; it may have been started again otherwise.

        Raises:
            HTTPException: 502 where it can, or does not answer.
        """
        if time.monotonic() < self._sure_until:
            return
        try:
            answer = await self.client.post(f"{PREFIX}/graphql", json={"query": PERMISSIONS})
            granted = [each["permission"] for each in answer.json()["data"]["permissions"]
                       if each["value"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise HTTPException(502, f"Dagster does not answer: {type(error).__name__}") from error
        if granted:
            raise HTTPException(502, f"the Dagster webserver behind {PREFIX} may "
                                     f"{granted[0]}: start it with --read-only")
        self._sure_until = time.monotonic() + SURE_SECONDS

    async def pass_on(self, request: Request) -> Response:
        """Ask the same there, and give its answer on as it comes."""
        # The path as it came: decoded and encoded anew it could be another one.
        path = bytes(request.scope["raw_path"]) + (
            b"?" + request.scope["query_string"] if request.scope["query_string"] else b"")
        try:
            asked = self.client.build_request(
                request.method, self.client.base_url.copy_with(raw_path=path),
                content=await _body(request),
                headers={name: value for name, value in request.headers.items()
                         if name in ASKED})
            answer = await self.client.send(asked, stream=True)
        except httpx.InvalidURL as error:
            raise HTTPException(404, "there is no such page") from error
        except httpx.HTTPError as error:
            raise HTTPException(502, f"Dagster does not answer: {type(error).__name__}") from error
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose),
            headers={name: value for name, value in answer.headers.items()
                     if name not in DROPPED})


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes")
    return bytes(found)


@router.api_route(PREFIX, methods=["GET"])
@router.api_route(PREFIX + "/{path:path}", methods=["GET", "HEAD", "POST"])
async def show(request: Request, path: str | None = None) -> Response:
    """One page, file or query of Dagster's."""
    pages: DagsterPages | None = request.app.state.dagster_pages
    if pages is None:
        raise HTTPException(404, "Dagster's pages are not shown here; see `dagster_view` in "
                                 "configs/platform.yaml")
    try:
        guard_of(request).person(request)
    except HTTPException:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/")
        raise
    if path is None:
        return RedirectResponse(f"{PREFIX}/")
    if not {".", ".."}.isdisjoint(unquote(path).split("/")):
        raise HTTPException(404, "there is no such page")
    await pages.be_sure()
    return await pages.pass_on(request)
