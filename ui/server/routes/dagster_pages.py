"""Dagster's own pages at ``/dagster``, to look at: for people who reach the console from elsewhere.

Dagster has no login, and its GraphQL takes changes from any page. So what others may reach is a
webserver that was started with ``--read-only``, behind the console's sessions; that it is one is
asked before anything of it is shown. Its live updates fall back from a web socket to polling.
"""

from __future__ import annotations

from typing import Final

import httpx
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.background import BackgroundTask

from ui.server.routes.context import guard_of

PREFIX: Final = "/dagster"
SECONDS: Final = 30.0
MOST_BYTES: Final = 1 << 20
ASKED: Final = frozenset({
    "accept", "accept-encoding", "accept-language", "cache-control", "content-type",
    "if-modified-since", "if-none-match"})
# Of one connection, or not for the console's own browser session.
DROPPED: Final = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "set-cookie", "te", "trailer",
    "transfer-encoding", "upgrade"})
PERMISSIONS: Final = "{ permissions { permission value } }"

router = APIRouter(include_in_schema=False)


class DagsterPages:
    """The read-only webserver underneath."""

    def __init__(self, url: str) -> None:
        self.client: Final = httpx.AsyncClient(base_url=url, timeout=SECONDS)
        self._sure = False

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()

    async def be_sure(self) -> None:
        """That it can change nothing.

        Raises:
            HTTPException: 502 where it can, or does not answer.
        """
        if self._sure:
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
        self._sure = True

    async def pass_on(self, request: Request) -> Response:
        """Ask the same there, and give its answer on as it comes."""
        body = await request.body()
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes")
        asked = self.client.build_request(
            request.method, httpx.URL(path=request.url.path, query=request.url.query.encode()),
            content=body, headers={name: value for name, value in request.headers.items()
                                   if name in ASKED})
        try:
            answer = await self.client.send(asked, stream=True)
        except httpx.HTTPError as error:
            self._sure = False
            raise HTTPException(502, f"Dagster does not answer: {type(error).__name__}") from error
        return StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose),
            headers={name: value for name, value in answer.headers.items()
                     if name not in DROPPED})


@router.api_route(PREFIX, methods=["GET"])
@router.api_route(PREFIX + "/{path:path}", methods=["GET", "HEAD", "POST"])
async def show(request: Request, path: str = "") -> Response:
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
    if ".." in path.split("/"):
        raise HTTPException(404, "there is no such page")
    await pages.be_sure()
    return await pages.pass_on(request)
