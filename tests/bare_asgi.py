"""Calls an ASGI application as a server would, with nothing between that could mend a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import ASGIApp, Message

from bentos.problems import MEDIA_TYPE, TYPE_PREFIX

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as a server hands it on; names of headers are lower case.

    ``leaves``: the client goes away instead of ending its body.
    """

    path: str
    headers: Headers = ()
    body: Sequence[bytes] = ()
    method: str = "POST"
    query: bytes = b""
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What the application sent."""

    status: int
    headers: dict[str, str]
    body: bytes


async def ask(app: ASGIApp, asked: Asked) -> Reply:
    """The reply to one request; what the application raises is raised."""
    pieces = asked.body or (b"",)
    messages = iter([
        {"type": "http.request", "body": piece, "more_body": asked.leaves or number < len(pieces)}
        for number, piece in enumerate(pieces, start=1)
    ])

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            assert asked.leaves, "the application read past the end of a request"
            return {"type": "http.disconnect"}
        return message

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": asked.method, "scheme": "http", "path": asked.path, "root_path": "",
        "raw_path": asked.path.encode(),
        "query_string": asked.query, "headers": list(asked.headers),
        "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 80), "state": {},
    }
    await app(scope, receive, send)
    start, *rest = sent
    assert start["type"] == "http.response.start"
    assert rest, "a reply without a body"
    assert not rest[-1].get("more_body", False), "a reply that does not end"
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Reply(start["status"], headers, b"".join(each.get("body", b"") for each in rest))


def check_refusal(status: int, content_type: str, body: bytes) -> str:
    """The kind of a problem document; fails where an answer that is no success is none.

    A 5xx is a fault of the service, but for 503, which is what an overloaded one says.
    """
    assert 400 <= status < 500 or status == 503, f"{status}: {body[:500]!r}"
    assert content_type == MEDIA_TYPE, f"{status} {content_type}: {body[:500]!r}"
    problem = orjson.loads(body)
    assert problem["status"] == status
    assert problem["title"]
    assert isinstance(problem["detail"], str)
    assert problem["detail"]
    assert len(body) < 4_000, "a refusal as long as what it refuses"
    kind = problem["type"]
    assert isinstance(kind, str)
    assert kind.startswith(TYPE_PREFIX)
    return kind.removeprefix(TYPE_PREFIX)
