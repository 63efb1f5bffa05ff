"""HTTP/1.1 as bytes on a connection, right or wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

AFTERWARDS = 0.2
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(path: str, body: bytes = b"", *headers: str, method: str = "POST") -> bytes:
    """A request with a true length, unless ``headers`` says another."""
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", *headers]
    if not any(each.lower().startswith(("content-length", "transfer-enc")) for each in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader) -> Answer | None:
    """The next response; None where the server hung up before one."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in
                   (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Answer(int(head[0].split(" ")[1]), headers, body)


async def talk(port: int, pieces: Iterable[bytes], *, expect: int) -> list[Answer]:
    """Send the pieces; ``expect`` answers, or fewer where the server hangs up, or one too many."""
    async with connected(port) as (reader, writer):
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass  # it hung up in the middle, and may have said why
        answers = [each for _ in range(expect) if (each := await read_answer(reader)) is not None]
        try:
            async with asyncio.timeout(AFTERWARDS):
                more = await read_answer(reader)
        except TimeoutError:
            return answers
        return answers if more is None else [*answers, more]
