"""Errors as RFC 9457 problem details, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:mlops-assets:problem:"
MAX_DETAIL: Final = 1000


class Problem(Exception):
    """An answer that is an error. ``kind`` is its stable name, the end of its ``type`` URN.

    ``detail`` is cut after ``MAX_DETAIL`` characters: it may quote the request.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status: Final = status
        self.kind: Final = kind
        self.detail: Final = detail[:MAX_DETAIL]
        self.headers: Final = dict(headers or {})

    @property
    def title(self) -> str:
        """The phrase of the status."""
        return HTTPStatus(self.status).phrase

    def response(self) -> Response:
        """The problem as an ``application/problem+json`` response."""
        body = {
            "type": TYPE_PREFIX + self.kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        return Response(
            orjson.dumps(body), self.status, {**self.headers, "content-type": MEDIA_TYPE}
        )


def unavailable(kind: str, detail: str, *, retry_after: int = 1) -> Problem:
    """A 503 that says when to come back, in seconds."""
    return Problem(503, kind, detail, headers={"retry-after": str(retry_after)})


def kind_of(status: int) -> str:
    """The problem kind of a bare HTTP status: its phrase in kebab case."""
    return HTTPStatus(status).phrase.lower().replace(" ", "-").replace("'", "")


async def answer_http_error(_: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405 as problem details, with their headers (``Allow``)."""
    if not isinstance(error, HTTPException):
        raise error
    return Problem(
        error.status_code, kind_of(error.status_code), error.detail, headers=error.headers
    ).response()


async def answer_fault(_request: Request, _error: Exception) -> Response:
    """A 500 without the exception's text; the server logs the exception itself."""
    return Problem(500, "internal-server-error", "the service failed; see its log").response()
