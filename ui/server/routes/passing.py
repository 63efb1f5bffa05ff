"""Pages of a program underneath, passed on to people who have signed in to the console."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import httpx
from fastapi import HTTPException, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.background import BackgroundTask

from ui.server.routes.context import guard_of

SECONDS: Final = 30.0
MOST_BYTES: Final = 1 << 20
# What is asked on from a browser: nothing of its session, or of where the console is.
ASKED: Final = frozenset({
    "accept", "accept-encoding", "accept-language", "cache-control", "content-type",
    "if-modified-since", "if-none-match"})


class Underneath:
    """A program whose pages are passed on; ``name`` is what people call it."""

    def __init__(self, name: str, url: str) -> None:
        self.name: Final = name
        self.client: Final = httpx.AsyncClient(base_url=url, timeout=SECONDS)

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()

    async def ask(self, request: Request, path: bytes, body: bytes) -> httpx.Response:
        """Its answer to a request for ``path``, as raw as it came, with its query; to be read.

        Raises:
            HTTPException: 404 for a path that can not be asked for, 502 where nothing answers.
        """
        query = bytes(request.scope["query_string"])
        try:
            asked = self.client.build_request(
                request.method,
                self.client.base_url.copy_with(raw_path=path + (b"?" + query if query else b"")),
                content=body,
                headers={name: value for name, value in request.headers.items()
                         if name in ASKED})
            return await self.client.send(asked, stream=True)
        except httpx.InvalidURL as error:
            raise HTTPException(404, "there is no such page") from error
        except httpx.HTTPError as error:
            raise self.silent(error) from error

    def silent(self, error: Exception) -> HTTPException:
        """What to tell where it does not answer as it should."""
        return HTTPException(502, f"{self.name} does not answer: {type(error).__name__}")


def stream(answer: httpx.Response, headers: Mapping[str, str]) -> Response:
    """An answer, given on as it comes."""
    return StreamingResponse(answer.aiter_raw(), answer.status_code, headers=headers,
                             background=BackgroundTask(answer.aclose))


async def read_body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        HTTPException: 413 for one of more than ``MOST_BYTES``.
    """
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes")
    return bytes(found)


def admit(request: Request, prefix: str, path: str | None) -> Response | None:
    """Where to lead who asks for ``path`` below ``prefix``; None if they may have it.

    Raises:
        HTTPException: 401 without a session where one is needed, 404 for a path that leads up.
    """
    try:
        guard_of(request).person(request)
    except HTTPException:
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/")
        raise
    if path is None:
        return RedirectResponse(f"{prefix}/")
    if not {".", ".."}.isdisjoint(unquote(path).split("/")):
        raise HTTPException(404, "there is no such page")
    return None
