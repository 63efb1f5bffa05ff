"""How connections are served: bounds on heads, which uvicorn has none for, and own routes first.

What is no HTTP at all is answered with a problem document too.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar, Final

from uvicorn import Config
from uvicorn.protocols.http import auto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from bentos.app import App
from bentos.direct import URL, Exchange, answer
from bentos.problems import Problem

MAX_HEAD_BYTES: Final = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection; a head is request line and headers.

    Own predictions whose request comes in one read are answered by ``bentos.direct``.

    A head that arrives in one piece is not counted: it has at most what one read gives, 256 KiB.
    """

    head_seconds: ClassVar[float] = 15.0
    own: ClassVar[App | None] = None
    # Also an `Exchange`.
    cycle: Any
    _head_bytes = 0
    _in_head = False
    _timer: asyncio.TimerHandle | None = None

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        if self.own is not None:
            self.app = _OwnFirst(self.own, self.app)
        self.access_log = self.access_log and self.access_logger.isEnabledFor(logging.INFO)
        self._behind: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head, though not for ever."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._stop_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        self._stop_timer()
        before = self.cycle
        if (
            self.own is None or self.url != URL or self.parser.get_method() != b"POST"
            or self.expect_100_continue or self.parser.should_upgrade()
            or self.limit_concurrency is not None
            or (before is not None and not before.response_complete)
        ):
            super().on_headers_complete()
            return
        alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self._behind, self.cycle = before, Exchange(self.scope, keep_alive=alive)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if isinstance(self.cycle, Exchange):
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        exchange = self.cycle
        if not isinstance(exchange, Exchange) or self.own is None:
            super().on_message_complete()
        elif exchange.more_body:
            exchange.more_body = False
            task = self.loop.create_task(answer(self, exchange, self.own.front))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def _to_asgi(self, exchange: Exchange) -> None:
        """The rest of this body is still to come: that is for the application."""
        self.cycle = self._behind
        super().on_headers_complete()
        if exchange.body:
            super().on_body(bytes(exchange.body))

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then see how much of an unfinished head there is."""
        super().data_received(data)
        exchange = self.cycle
        if isinstance(exchange, Exchange) and exchange.more_body:
            if self.transport.is_closing():
                return
            self._to_asgi(exchange)
        self._behind = None
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(Problem(431, "head-too-large", f"the head of the request exceeds "
                                                        f"{MAX_HEAD_BYTES} bytes"))
        else:
            self._start_timer()

    def send_400_response(self, msg: str) -> None:
        """Uvicorn's answer to what it can not parse."""
        self._refuse(Problem(400, "malformed-request", msg))

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(Problem(408, "request-timeout", f"the head of the request did not arrive "
                                                     f"within {self.head_seconds:g} seconds"))

    def _refuse(self, problem: Problem) -> None:
        """Answer and hang up; what came before on this connection is answered first."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        before = self.cycle
        if before is not None and not (before.response_complete or before.more_body):
            before.keep_alive = False
            self.flow.pause_reading()
            return
        if before is None or before.response_complete or not before.response_started:
            response = problem.response()
            head = b"".join(b"%b: %b\r\n" % each for each in response.raw_headers)
            self.transport.write(b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b" % (
                problem.status, problem.title.encode(), head, bytes(response.body)))
        self.transport.close()


class _OwnFirst:
    """Own routes go past BentoML's middleware.

    Its time limit holds on to each request for a minute, whatever becomes of it: 1 KB for each,
    300 MB at 5,000 requests a second. Own routes have limits of their own.
    """

    def __init__(self, own: App, app: Any) -> None:
        self._own: Final = own
        self._app: Final = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and self._own.owns(scope["path"]):
            await self._own(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def serve_with(*, head_seconds: float, own: App | None) -> None:
    """Let uvicorn servers that start from now on in this process speak ``BoundedProtocol``.

    ``own`` answers its routes before any middleware; None where that must see them.
    """
    BoundedProtocol.head_seconds = head_seconds
    BoundedProtocol.own = own
    auto.AutoHTTPProtocol = BoundedProtocol
