"""One ``POST /v1/predict`` straight from the connection: without ASGI's messages between.

A request that lies whole in what one read gave needs no waiting for its body, no timer and no flow
control, which is most of what a server does for a small image. All others go through ASGI.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from bentos.front import PATH, Front

if TYPE_CHECKING:
    from bentos.connections import BoundedProtocol

URL: Final = PATH.encode()


class Exchange:
    """A request and its response, in the place of uvicorn's ``RequestResponseCycle``."""

    # Nobody waits for it; uvicorn sets it when the connection is lost.
    message_event: Final = asyncio.Event()

    __slots__ = ("body", "disconnected", "keep_alive", "more_body", "response_complete",
                 "response_started", "scope")

    def __init__(self, scope: Any, *, keep_alive: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.disconnected = self.response_started = self.response_complete = False


async def answer(protocol: BoundedProtocol, exchange: Exchange, front: Front) -> None:
    """Answer a whole request and write the response in one piece."""
    status, headers, body = await front.answer(exchange.scope, bytes(exchange.body))
    if protocol.flow.write_paused and not exchange.disconnected:
        await protocol.flow.drain()
    if exchange.disconnected:
        return
    parts = [STATUS_LINE[status]]
    for name, value in (*protocol.server_state.default_headers, *headers):
        parts += (name, b": ", value, b"\r\n")
        if name == b"connection" and value == b"close":
            exchange.keep_alive = False
    if not exchange.keep_alive and (b"connection", b"close") not in headers:
        parts.append(b"connection: close\r\n")
    parts += (b"\r\n", body)
    exchange.response_started = exchange.response_complete = True
    protocol.transport.write(b"".join(parts))
    if not exchange.keep_alive:
        protocol.transport.close()
    protocol.on_response_complete()
