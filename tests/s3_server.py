"""moto's S3 server in its own process, behind a forwarder that can go away and come back.

The server keeps its buckets in memory, so that killing it would lose what no real one loses; an
outage is what its clients see when nobody listens any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.running import free_port

READY_SECONDS = 60


class Forwarder:
    """Hands connections on to a port, while it is up."""

    def __init__(self, to: int) -> None:
        self.port, self._to = free_port(), to
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def up(self) -> None:
        """Listen."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def down(self) -> None:
        """Listen no more, and cut every connection."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def close(self) -> None:
        """End for good."""
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()
        # Every connection sees its end before the loop may stop.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        behind = None
        try:
            far, behind = await asyncio.open_connection("127.0.0.1", self._to)
            self._open.add(behind)
            await asyncio.gather(_pump(reader, behind), _pump(far, writer))
        except OSError:
            pass  # one side went away; the other is cut below
        finally:
            for each in (writer, behind):
                if each is not None:
                    self._open.discard(each)
                    each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(1 << 16):
        writer.write(content)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


@contextmanager
def s3_server() -> Iterator[Forwarder]:
    """A forwarder that is up, to an S3 server without buckets."""
    with moto_server() as port:
        forwarder = Forwarder(port)
        try:
            forwarder.up()
            yield forwarder
        finally:
            forwarder.close()


@contextmanager
def moto_server() -> Iterator[int]:
    """The port of an S3 server without buckets, which ends with the block."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + READY_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < until and server.poll() is None, "moto does not answer"
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)
