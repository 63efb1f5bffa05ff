"""Dagster's own pages at ``/dagster``, to look at: for people who reach the console from elsewhere.

Dagster has no login, and its GraphQL takes changes from any page. So what others may reach is a
webserver that was started with ``--read-only``, behind the console's sessions; that it is one is
asked before anything of it is shown. Its live updates fall back from a web socket to polling.
"""

from __future__ import annotations

import time
from typing import Final

import httpx
from fastapi import APIRouter, HTTPException, Request, Response

from mlops_assets.contracts.pages import DAGSTER_PAGES
from ui.server.routes.passing import Underneath, admit, read_body, stream

SURE_SECONDS: Final = 10.0
# Of one connection, not for the console's own browser session, or the address underneath.
DROPPED: Final = frozenset({
    "connection", "keep-alive", "location", "proxy-authenticate", "set-cookie", "te", "trailer",
    "transfer-encoding", "upgrade"})
PERMISSIONS: Final = "{ permissions { permission value } }"

router = APIRouter(include_in_schema=False)


class DagsterPages(Underneath):
    """The read-only webserver underneath."""

    def __init__(self, url: str) -> None:
        super().__init__("Dagster", url)
        self._sure_until = 0.0

    async def be_sure(self) -> None:
        """That it can change nothing; it may have been started again otherwise.

        Raises:
            HTTPException: 502 where it can, or does not answer.
        """
        if time.monotonic() < self._sure_until:
            return
        try:
            answer = await self.client.post(
                f"{DAGSTER_PAGES}/graphql", json={"query": PERMISSIONS})
            granted = [each["permission"] for each in answer.json()["data"]["permissions"]
                       if each["value"]]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self.silent(error) from error
        if granted:
            raise HTTPException(502, f"the Dagster webserver behind {DAGSTER_PAGES} may "
                                     f"{granted[0]}: start it with --read-only")
        self._sure_until = time.monotonic() + SURE_SECONDS


@router.api_route(DAGSTER_PAGES, methods=["GET"])
@router.api_route(DAGSTER_PAGES + "/{path:path}", methods=["GET", "HEAD", "POST"])
async def show(request: Request, path: str | None = None) -> Response:
    """One page, file or query of Dagster's."""
    pages: DagsterPages | None = request.app.state.dagster_pages
    if pages is None:
        raise HTTPException(404, "Dagster's pages are not shown here; see `dagster_view` in "
                                 "configs/platform.yaml")
    if (led := admit(request, DAGSTER_PAGES, path)) is not None:
        return led
    await pages.be_sure()
    # The path as it came: decoded and encoded anew it could be another one.
    answer = await pages.ask(request, bytes(request.scope["raw_path"]), await read_body(request))
    return stream(answer, {name: value for name, value in answer.headers.items()
                           if name not in DROPPED})
