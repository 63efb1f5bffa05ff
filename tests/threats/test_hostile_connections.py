"""A served bento and clients that are slow, lie, break off, or do not speak HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.raw_http import Answer, connected, read_answer, request, talk
from tests.running import Running
from tests.threats.conftest import BODY_SECONDS, GOOD, GROWTH_BYTES, LIMIT, PNG, answered, refusal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unharmed")]
ROUTES = [("/v1/predict", "image/png"), ("/v1/predict", "multipart/form-data; boundary=x"),
          ("/v1/explain", "image/png"), ("/v1/predict_batch", "application/zip"),
          ("/v1/feedback", "application/json"), ("/predict", "application/json")]


async def drip(port: int, whole: bytes, head: int) -> Answer | None:
    """Send what comes after ``head`` bytes one byte at a time, until there is an answer."""
    async with connected(port) as (reader, writer):
        writer.write(whole[:head])
        answer = asyncio.create_task(read_answer(reader))
        for byte in whole[head:]:
            writer.write(bytes([byte]))
            await asyncio.wait([answer], timeout=0.05)
            if answer.done():
                break
        found = await answer
        if found is not None:
            with contextlib.suppress(ConnectionResetError):  # bytes that it did not read
                assert await reader.read() == b"", "the connection must be closed"
        return found


def test_dripping_bodies_are_given_up_and_hold_nobody_up(port: int) -> None:
    async def run() -> None:
        wholes = [(request(path, b"", f"content-type: {kind}", "content-length: 9000"), b"x" * 9000)
                  for path, kind in ROUTES]
        slow = [asyncio.create_task(drip(port, head + body, len(head)))
                for head, body in wholes * 10]
        await asyncio.sleep(0.2)
        for _ in range(20):
            await answered(port)
        assert not any(each.done() for each in slow), "others had to wait for the slow ones"
        for answer in await asyncio.gather(*slow):
            assert answer is not None
            assert (answer.status, refusal(answer)) == (408, "request-timeout")

    asyncio.run(asyncio.wait_for(run(), LIMIT))


def test_dripping_heads_are_given_up(port: int) -> None:
    async def run() -> None:
        found = await asyncio.gather(*(drip(port, GOOD, head) for head in (0, 1, 10, 40) * 10))
        for answer in found:
            assert answer is not None
            assert (answer.status, refusal(answer)) == (408, "request-timeout")
            assert b"the head" in answer.body

    started = time.monotonic()
    asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert time.monotonic() - started >= BODY_SECONDS


def test_head_in_pieces_is_counted(port: int) -> None:
    async def run() -> Answer | None:
        async with connected(port) as (reader, writer):
            writer.write(b"GET /v1/models HTTP/1.1\r\n")
            for _ in range(11):
                await asyncio.sleep(0.02)
                writer.write(b"x: " + b"y" * 5_995 + b"\r\n")
            return await read_answer(reader)

    answer = asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert answer is not None
    assert (answer.status, refusal(answer)) == (431, "head-too-large")


@pytest.mark.parametrize("head", [
    b"POST /v1/predict HTTP/1.1\r\nx: ", b"GET /v1/" , b"POST /v1/predict HTTP/1.1\r\nx: y\r\n",
], ids=["header", "url", "headers"])
def test_endless_head_is_not_kept(service: Running, port: int, head: bytes) -> None:
    (worker,) = service.workers()
    before = worker.memory_info().rss
    filling = b"x: y\r\n" if head.endswith(b"\r\n") else b"xxxxxx"

    async def run() -> None:
        found = await talk(port, [head, *[filling * 20_000] * 500], expect=1)
        # The server hangs up while bytes are under way, so its answer may get lost.
        assert [refusal(each) for each in found] in ([], ["head-too-large"])

    asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert worker.memory_info().rss - before < GROWTH_BYTES


@pytest.mark.parametrize(("sent", "statuses"), [
    pytest.param(request("/v1/predict", PNG, "content-type: image/png", "content-length: 20"),
                 [422], id="shorter than sent"),
    pytest.param(request("/v1/predict", PNG, "content-type: image/png",
                         f"content-length: {len(PNG) + 50}"), [408], id="longer than sent"),
    pytest.param(request("/v1/predict", PNG, "content-length: 5", "content-length: 6"), [400],
                 id="two"),
    pytest.param(request("/v1/predict", PNG, "content-length: -1"), [400], id="negative"),
    pytest.param(request("/v1/predict", PNG, "content-length: 9e9"), [400], id="no number"),
    pytest.param(request("/v1/predict", PNG, "content-length: " + "9" * 400), [400], id="huge"),
    pytest.param(request("/v1/predict", b"zz\r\ngarbage", "transfer-encoding: chunked"), [400],
                 id="chunks of garbage"),
    pytest.param(request("/v1/predict", b"-5\r\nabc\r\n", "content-type: image/png",
                         "transfer-encoding: chunked"), [400], id="chunk of negative length"),
    pytest.param(request("/v1/predict", b"fffffffffffffffff\r\nabc", "content-type: image/png",
                         "transfer-encoding: chunked"), [400], id="chunk of huge length"),
    pytest.param(request("/v1/predict", b"0\r\n\r\n", "content-type: image/png",
                         "transfer-encoding: chunked", "content-length: 5"), [400], id="smuggling"),
    pytest.param(request("/" + "a" * 100_000, method="GET"), [400], id="long url"),
    pytest.param(request("/v1/predictions/" + "%00" * 9_000, method="GET"), [404], id="odd url"),
    pytest.param(request("/v1/models", b"", *["a: b"] * 5_000, method="GET"), [200],
                 id="thousands of headers"),
    pytest.param(request("/v1/models", b"", "x: " + "y" * 60_000, method="GET"), [200],
                 id="long header"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), [400], id="TLS"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400], id="HTTP/2"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", [400], id="SSH"),
    pytest.param(b"", [408], id="nothing"),
])
def test_odd_request_gets_its_answer_or_none(port: int, sent: bytes, statuses: list[int]) -> None:
    answers = asyncio.run(asyncio.wait_for(talk(port, [sent], expect=len(statuses)), LIMIT))
    assert [each.status for each in answers] == statuses
    for each in answers:
        if each.status >= 300:
            refusal(each)
