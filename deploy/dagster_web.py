"""Dagster's webserver, for this machine's people and programs alone.

Dagster has no login, and its GraphQL runs mutations that come by GET and from any site's page: a
page that somebody has open could end their runs. This starts the same program behind a guard: a
page of another site gets nothing but a page to look at, a query comes by POST, and on loopback the
name in ``Host`` is this machine's (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from mlops_assets.contracts.loopback import LOOPBACK_NAMES, binds_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
               Awaitable[None]]

FOREIGN: Final = frozenset({"cross-site", "same-site"})
FRAMING: Final = (b"x-frame-options", b"DENY")


def refusal(scope: Scope, *, loopback: bool) -> tuple[int, str] | None:
    """Why a request is not passed on, with its HTTP status; None where it is.

    Checks the headers of Fetch Metadata (W3C) and ``Origin`` and ``Host`` (RFC 6454, RFC 9110).
    """
    headers = {name.decode("latin-1"): value.decode("latin-1")
               for name, value in scope["headers"]}
    host = headers.get("host", "")
    if loopback and urlsplit(f"//{host}").hostname not in LOOPBACK_NAMES:
        return 421, "this is not the name of this machine"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return 403, "another site's page may not ask here"
    answers = scope["type"] == "websocket" or scope["path"].rstrip("/").endswith("/graphql")
    led = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") == "GET"
    if headers.get("sec-fetch-site") in FOREIGN and (answers or not led):
        return 403, "another site's page may not ask here"
    if answers and scope.get("method") in ("GET", "HEAD") and "query" in parse_qs(
            scope["query_string"].decode("latin-1"), keep_blank_values=True):
        return 405, "send GraphQL by POST"
    return None


class Guarded:
    """An ASGI application that another site's page can not use, nor show in a frame."""

    def __init__(self, app: App, *, loopback: bool) -> None:
        self._app, self._loopback = app, loopback

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Pass a request on, or say why not."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = refusal(scope, loopback=self._loopback)
        if refused is None:
            await self._app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})
        else:
            status, reason = refused
            await send({"type": "http.response.start", "status": status, "headers": [
                (b"content-type", b"text/plain; charset=utf-8")]})
            await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def _unframed(
    send: Callable[[Message], Awaitable[None]]
) -> Callable[[Message], Awaitable[None]]:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), FRAMING]
        await send(message)

    return told


def main() -> None:
    """Serve with ``dagster-webserver``'s own options until a signal ends the process."""
    import sys

    from dagster_webserver import cli

    make = cli.create_app_from_workspace_process_context  # type: ignore[attr-defined]
    options = sys.argv[1:]
    flags = ("-h", "--host")
    host = next((options[at + 1] for at, each in enumerate(options[:-1]) if each in flags),
                "127.0.0.1")

    def make_guarded(*arguments: Any, **more: Any) -> Guarded:
        return Guarded(make(*arguments, **more), loopback=binds_loopback(host))

    # The command takes no application: this is the one place where it makes its own.
    cli.create_app_from_workspace_process_context = make_guarded  # type: ignore
    cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
