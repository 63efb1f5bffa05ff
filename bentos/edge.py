"""The border in front of BentoML: own routes go past it, its own routes get what they lack."""

from __future__ import annotations

from contextvars import ContextVar
from http import HTTPStatus
from typing import Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.access import Gate
from bentos.app import App
from bentos.problems import MEDIA_TYPE, Problem, kind_of
from bentos.uploads import read_body

MAX_DETAIL_BYTES: Final = 2_000
CALLER: Final[ContextVar[str]] = ContextVar("caller", default="anonymous")


class Edge:
    """ASGI middleware around BentoML's application.

    What ``own`` owns never enters BentoML, whose routing and bookkeeping cost more than an
    answer. On ``json_path`` callers are admitted and bodies limited to JSON of ``max_json_bytes``
    that arrives within ``body_timeout`` seconds. An error response of BentoML that is no problem
    document yet (plain text or ``{"error": ...}``) becomes one, with its status and headers.
    """

    def __init__(
        self, app: ASGIApp, *, own: App, gate: Gate, json_path: str, max_json_bytes: int,
        body_timeout: float,
    ) -> None:
        self._app = app
        self._own: Final = own
        self._gate: Final = gate
        self._json_path: Final = json_path
        self._max_json_bytes: Final = max_json_bytes
        self._body_timeout: Final = body_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._own.owns(scope["path"]):
            await self._own(scope, receive, send)
        elif scope["path"] == self._json_path and scope["method"] == "POST":
            await self._native(scope, receive, send)
        else:
            await self._app(scope, receive, _Reply(send).send)

    async def _native(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            caller = await self._gate.admit(scope, "predict")
            _check_json(scope)
            body = await read_body(
                Request(scope, receive), limit=self._max_json_bytes, timeout_s=self._body_timeout)
            _check_body(body)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        CALLER.set(caller.name)
        await self._app(scope, _again(body, receive), _Reply(send).send)


def _check_json(scope: Scope) -> None:
    kind = Headers(scope=scope).get("content-type", "application/json").partition(";")[0]
    if kind.strip().lower() != "application/json":
        raise Problem(415, "unsupported-media-type", f"{scope['path']} takes JSON")


class _Body(BaseModel):
    image: str


def _check_body(body: bytes) -> None:
    """Refuse here what BentoML would refuse as well, but with a traceback in the log."""
    try:
        _Body.model_validate_json(body)
    except ValidationError as error:
        raise Problem(400, "bad-request", f"send {{\"image\": \"<base64>\"}}: "
                                          f"{error.errors()[0]['msg']}") from error


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be read once more."""
    whole: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def read() -> Message:
        nonlocal whole
        if whole is None:
            return await receive()
        message, whole = whole, None
        return message

    return read


class _Reply:
    """Holds an error response back until its body is known, then sends it as a problem."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._headers: dict[str, str] | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            headers = Headers(raw=message["headers"])
            if not headers.get("content-type", "").startswith(MEDIA_TYPE):
                self._status, self._headers = message["status"], dict(headers)
                return
        if self._headers is None:
            await self._send(message)
            return
        self._body = (self._body + message.get("body", b""))[:MAX_DETAIL_BYTES]
        if not message.get("more_body", False):
            await self._finish(self._headers)

    async def _finish(self, headers: dict[str, str]) -> None:
        kept = {
            name: value
            for name, value in headers.items()
            if name not in ("content-type", "content-length")
        }
        problem = Problem(
            self._status, kind_of(self._status), _detail(self._body, self._status), headers=kept
        )
        response = problem.response()
        start = {"type": "http.response.start", "status": problem.status}
        await self._send({**start, "headers": response.raw_headers})
        await self._send({"type": "http.response.body", "body": response.body})


def _detail(body: bytes, status: int) -> str:
    """The most telling text of an error body: BentoML's messages, plain text, or the phrase."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace").strip() or HTTPStatus(status).phrase
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return HTTPStatus(status).phrase
    causes = value.get("detail")
    if isinstance(causes, list):
        told = [
            f"`{'.'.join(map(str, cause['loc']))}` {cause['msg']}"
            for cause in causes
            if isinstance(cause, dict) and "loc" in cause and "msg" in cause
        ]
        if told:
            return "; ".join(told)
    return str(value.get("error") or HTTPStatus(status).phrase)
