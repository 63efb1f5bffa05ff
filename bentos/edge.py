"""What BentoML's own routes lack: a body limit, and errors as problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.problems import MEDIA_TYPE, Problem, kind_of

MAX_DETAIL_BYTES: Final = 2_000


class Edge:
    """ASGI middleware: JSON only and ``max_json_bytes`` on ``json_path``, problems everywhere.

    An error response that is no problem document yet (BentoML's plain text or ``{"error": ...}``)
    becomes one, with its status and headers. A body is counted as it streams, whatever its
    Content-Length says.
    """

    def __init__(self, app: ASGIApp, *, json_path: str, max_json_bytes: int) -> None:
        self._app = app
        self._json_path: Final = json_path
        self._max_json_bytes: Final = max_json_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reply = _Reply(send)
        if scope["path"] != self._json_path or scope["method"] != "POST":
            await self._app(scope, receive, reply.send)
            return
        kind = Headers(scope=scope).get("content-type", "application/json").partition(";")[0]
        if kind.strip().lower() != "application/json":
            problem = Problem(415, "unsupported-media-type", f"{self._json_path} takes JSON")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, self._limited(receive, reply), reply.send)

    def _limited(self, receive: Receive, reply: _Reply) -> Receive:
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_json_bytes:
                reply.instead = Problem(
                    413, "body-too-large", f"the body exceeds {self._max_json_bytes} bytes"
                )
                raise ValueError(reply.instead.detail)
            return message

        return limited


class _Reply:
    """Holds an error response back until its body is known, then sends it as a problem."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._headers: dict[str, str] | None = None
        self._body = b""
        self.instead: Problem | None = None

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
        problem = self.instead or Problem(
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
