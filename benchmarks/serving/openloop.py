"""Load that does not wait for answers: requests leave at their own times, however the server fares.

A closed loop slows down with its server and never overloads it. Here a request's time counts from
the moment it was due, so that a late start is not forgotten (coordinated omission).
"""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RETRY: Final = re.compile(rb"\r\nretry-after: *(\d+)\r\n", re.IGNORECASE)
DRAIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: which of the given ones, its status (0: none), seconds from when it was due.

    ``retry_after`` is the header's seconds, None without one.
    """

    number: int
    status: int
    seconds: float
    retry_after: int | None
    body: bytes


class Connection(asyncio.Protocol):
    """A kept-alive connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, int | None, bytes]] | None = None

    @property
    def usable(self) -> bool:
        """Whether it can take another request."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        head = bytes(self._received[: end + 4])
        length = LENGTH.search(head)
        whole = end + 4 + int(length.group(1) if length else 0)
        if len(self._received) < whole or self._answer.done():
            return
        retry = RETRY.search(head)
        self._answer.set_result((int(head[9:12]), int(retry.group(1)) if retry else None,
                                 bytes(self._received[end + 4 : whole])))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((0, None, b""))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    async def ask(self, request: bytes) -> tuple[int, int | None, bytes]:
        """Status, ``Retry-After`` and body of the answer; status 0 when the server hangs up."""
        if self._transport is None:
            return 0, None, b""
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


class Client:
    """Sends the given requests in turn over as many connections as it takes."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port: Final = port
        self._requests: Final = requests
        self._turn: Final = itertools.cycle(range(len(requests)))
        self._free: Final[list[Connection]] = []

    async def send(self, due: float) -> Outcome:
        """The next request, which was due at this time of the loop."""
        loop = asyncio.get_running_loop()
        number = next(self._turn)
        connection = next((each for each in iter(self._take, None) if each.usable), None)
        if connection is None:
            try:
                _, connection = await loop.create_connection(Connection, "127.0.0.1", self._port)
            except ConnectionError:
                return Outcome(number, 0, loop.time() - due, None, b"")
        status, retry_after, body = await connection.ask(self._requests[number])
        seconds = loop.time() - due
        self._free.append(connection)
        return Outcome(number, status, seconds, retry_after, body)

    def _take(self) -> Connection | None:
        return self._free.pop() if self._free else None

    def close(self) -> None:
        """Hang up everywhere."""
        for each in self._free:
            each.close()


async def open_loop(client: Client, *, rate: float, seconds: float, seed: int) -> list[Outcome]:
    """``rate`` requests a second at random, independent moments (a Poisson process)."""
    chance, loop = random.Random(seed), asyncio.get_running_loop()
    sent: list[asyncio.Task[Outcome]] = []
    due = begun = loop.time()
    while (due := due + chance.expovariate(rate)) < begun + seconds:
        await asyncio.sleep(max(0.0, due - loop.time()))
        sent.append(loop.create_task(client.send(due)))
    async with asyncio.timeout(DRAIN_SECONDS):
        return await asyncio.gather(*sent)


async def closed_loop(client: Client, *, clients: int, seconds: float) -> list[Outcome]:
    """As many requests as get answered, ``clients`` at a time."""
    loop = asyncio.get_running_loop()
    until, found = loop.time() + seconds, []

    async def one() -> None:
        while loop.time() < until:
            found.append(await client.send(loop.time()))

    await asyncio.gather(*(one() for _ in range(clients)))
    return found


def run(
    port: int, requests: Sequence[bytes], use: Callable[[Client], Awaitable[list[Outcome]]]
) -> list[Outcome]:
    """``use`` a client, then hang up."""

    async def whole() -> list[Outcome]:
        client = Client(port, requests)
        try:
            return await use(client)
        finally:
            client.close()

    return asyncio.run(whole())
