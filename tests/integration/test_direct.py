"""However a request for a prediction is cut up or queued, it gets one answer, in its turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest

from tests.model_dir import encode, random_image
from tests.raw_http import Answer, connected, read_answer, request, talk
from tests.running import SPEC, Running, serving_tiny

pytestmark = pytest.mark.slow
IMAGES = [encode(random_image(seed, SPEC)) for seed in range(4)]
PREDICT = "/v1/predict"
TYPE = "content-type: image/png"
LIMIT = 60.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving_tiny(tmp_path_factory.mktemp("direct")) as running:
        yield running


@pytest.fixture(scope="module")
def port(service: Running) -> int:
    found = service.client.base_url.port
    assert found is not None
    return found


@pytest.fixture(scope="module")
def expected(service: Running) -> list[dict[str, float]]:
    """What each image is answered by another route, which is all of Starlette and ASGI."""
    found = []
    for image in IMAGES:
        files = [("image", ("a.png", image))]
        told = service.client.post("/v1/predict_batch", files=files).json()
        found.append(told["results"][0]["answer"]["probabilities"])
    return found


def good(number: int, *headers: str) -> bytes:
    return request(PREDICT, IMAGES[number], TYPE, *headers)


def shares(answer: Answer) -> dict[str, float]:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, float] = orjson.loads(answer.body)["probabilities"]
    return found


def ask(port: int, *pieces: bytes, expect: int) -> list[Answer]:
    return asyncio.run(asyncio.wait_for(talk(port, pieces, expect=expect), LIMIT))


def test_one_after_another_on_a_connection(port: int, expected: list[dict[str, float]]) -> None:
    async def run() -> list[Answer | None]:
        async with connected(port) as (reader, writer):
            found = []
            for number in range(4):
                writer.write(good(number))
                found.append(await read_answer(reader))
            return found

    found = [each for each in asyncio.run(run()) if each is not None]
    assert [shares(each) for each in found] == expected
    assert not any("connection" in each.headers for each in found)


def test_requests_that_come_in_one_read_are_answered_in_order(
    port: int, expected: list[dict[str, float]]
) -> None:
    found = ask(port, b"".join(good(number) for number in range(4)), expect=4)
    assert [shares(each) for each in found] == expected


def test_requests_behind_one_of_another_route(
    port: int, expected: list[dict[str, float]]
) -> None:
    models = request("/v1/models", method="GET")
    found = ask(port, good(0) + models + good(1) + models + good(2), expect=5)
    assert [shares(each) for each in found[::2]] == expected[:3]
    assert all(b"champion" in each.body for each in found[1::2])


@pytest.mark.parametrize("at", ["in the head", "behind the head", "in the body", "before the end"])
def test_a_request_in_two_reads(port: int, expected: list[dict[str, float]], at: str) -> None:
    whole = good(3)
    head = whole.index(b"\r\n\r\n") + 4
    cut = {"in the head": head // 2, "behind the head": head, "in the body": head + 20,
           "before the end": len(whole) - 1}[at]

    async def run() -> list[Answer | None]:
        async with connected(port) as (reader, writer):
            for piece in (whole[:cut], whole[cut:] + good(0)):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
            return [await read_answer(reader), await read_answer(reader)]

    found = [each for each in asyncio.run(run()) if each is not None]
    assert [shares(each) for each in found] == [expected[3], expected[0]]


def test_a_body_in_chunks(port: int, expected: list[dict[str, float]]) -> None:
    head = request(PREDICT, b"", TYPE, "transfer-encoding: chunked")
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in IMAGES[1])
    found = ask(port, head + chunks + b"0\r\n\r\n" + good(2), expect=2)
    assert [shares(each) for each in found] == expected[1:3]


def test_a_client_that_waits_to_be_told_to_go_on(
    port: int, expected: list[dict[str, float]]
) -> None:
    whole = good(2, "expect: 100-continue")
    head = whole.index(b"\r\n\r\n") + 4

    async def run() -> Answer | None:
        async with connected(port) as (reader, writer):
            writer.write(whole[:head])
            told = await read_answer(reader)
            assert told is not None and told.status == 100
            writer.write(whole[head:])
            return await read_answer(reader)

    answer = asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert answer is not None and shares(answer) == expected[2]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_connection_ends_where_the_client_says_so(
    port: int, expected: list[dict[str, float]], version: str
) -> None:
    whole = good(0, "connection: close").replace(b"HTTP/1.1", b"HTTP/" + version.encode(), 1)

    async def run() -> tuple[Answer | None, bytes]:
        async with connected(port) as (reader, writer):
            writer.write(whole)
            return await read_answer(reader), await reader.read()

    answer, rest = asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert answer is not None and shares(answer) == expected[0]
    assert answer.headers["connection"] == "close" and rest == b""


def test_a_refusal_leaves_the_connection_usable(
    port: int, expected: list[dict[str, float]]
) -> None:
    wrong = request(PREDICT, b"no image", TYPE)
    other = request(PREDICT, IMAGES[0], "content-type: text/plain")
    found = ask(port, wrong + other + good(1), expect=3)
    assert [each.status for each in found] == [415, 415, 200]
    assert all(each.headers["content-type"] == "application/problem+json" for each in found[:2])
    assert shares(found[2]) == expected[1]


def test_clients_that_leave_before_their_answer_harm_nobody(
    service: Running, port: int, expected: list[dict[str, float]]
) -> None:
    workers = service.workers()

    async def leave() -> None:
        async with connected(port) as (_, writer):
            writer.write(good(1))
            await writer.drain()

    async def run() -> None:
        await asyncio.gather(*(leave() for _ in range(200)))

    asyncio.run(run())
    # What they sent is computed still: until then a slow machine may say that it is too much.
    end = time.monotonic() + LIMIT
    (answer,) = ask(port, good(0), expect=1)
    while answer.status == 503 and time.monotonic() < end:
        time.sleep(float(answer.headers["retry-after"]))
        (answer,) = ask(port, good(0), expect=1)
    assert shares(answer) == expected[0]
    assert service.workers() == workers


def test_all_clients_are_answered_at_once(
    service: Running, expected: list[dict[str, float]]
) -> None:
    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=str(service.client.base_url), timeout=60) as client:
            headers = {"content-type": "image/png"}
            return await asyncio.gather(*(
                client.post(PREDICT, content=IMAGES[number % 4], headers=headers)
                for number in range(300)))

    for number, answer in enumerate(asyncio.run(run())):
        assert answer.status_code == 200
        assert answer.json()["probabilities"] == expected[number % 4]
