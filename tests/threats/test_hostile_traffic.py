"""A served bento and hundreds of connections: in a row on one, broken off, altered, all at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import quote

import orjson
import pytest

from resources.journal import hours, read_hour
from tests.hostile_json import VALUES, hostile_json
from tests.hostile_requests import hostile_requests
from tests.raw_http import Answer, connected, read_answer, request, talk
from tests.running import Running
from tests.threats.conftest import GOOD, LIMIT, answered, refusal

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unharmed")]
TOGETHER = 100


def ids(service: Running) -> Counter[str]:
    """Every prediction in the journal."""
    return Counter(record.answer.prediction_id for key in hours(service.journal)
                   for record in read_hour(service.journal, key)[0])


def ids_of(answers: list[Answer]) -> Counter[str]:
    """Those that were answered; fails for a refusal that is no problem."""
    for each in answers:
        if not 200 <= each.status < 300:
            refusal(each)
    return Counter(orjson.loads(each.body).get("prediction_id")
                   for each in answers if each.status == 200)


def test_requests_in_a_row_are_answered_in_order(service: Running, port: int) -> None:
    bad = request("/v1/predict", b"no image", "content-type: image/png")
    known = ids(service)

    async def run() -> list[Answer | None]:
        async with connected(port) as (reader, writer):
            writer.write((GOOD + bad) * 50)
            return [await read_answer(reader) for _ in range(100)]

    found = [each for each in asyncio.run(asyncio.wait_for(run(), LIMIT)) if each is not None]
    assert [each.status for each in found] == [200, 415] * 50
    assert ids(service) - known == ids_of(found)


def test_clients_that_leave_are_not_waited_for(service: Running, port: int) -> None:
    chance, known = random.Random(4), ids(service)

    async def leave() -> None:
        async with connected(port) as (_, writer):
            writer.write(GOOD[:chance.randrange(len(GOOD))])
            await asyncio.sleep(chance.random() / 10)

    async def run() -> str:
        await asyncio.gather(*(leave() for _ in range(300)))
        return await answered(port)

    last = asyncio.run(asyncio.wait_for(run(), LIMIT))
    assert ids(service) - known == Counter([last]), "a body that did not end was answered"


def altered(chance: random.Random) -> bytes:
    """A request with a few bytes of its head replaced, moved or removed."""
    head, _, body = GOOD.partition(b"\r\n\r\n")
    content = bytearray(head + b"\r\n\r\n")
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(len(content))
        match chance.randrange(3):
            case 0:
                content[at] = chance.choice(b"\0\r\n\t :/%\x7f\xff,;0A")
            case 1:
                content[at:at] = chance.choice((b"\r\n", b"\r", b" ", b"\0", b"a: b\r\n", b": "))
            case _:
                del content[at:at + chance.randrange(1, 9)]
    return bytes(content) + body


def test_altered_heads_are_answered_or_hung_up_on(service: Running, port: int) -> None:
    chance, known = random.Random(5), ids(service)
    found: list[Answer] = []

    async def run() -> None:
        for _ in range(400 // TOGETHER):
            asked = [talk(port, [altered(chance)], expect=1) for _ in range(TOGETHER)]
            for answers in await asyncio.gather(*asked):
                assert answers, "it is told what is wrong, if only after a while"
                found.extend(answers)

    asyncio.run(asyncio.wait_for(run(), LIMIT))
    made = ids_of(found)
    assert ids(service) - known == made
    assert len(made) > 10
    assert len({each.status for each in found}) > 3


def test_native_route_refuses_with_problems(service: Running, port: int) -> None:
    chance, known, found = random.Random(6), ids(service), []
    bodies = [hostile_json(chance) for _ in range(200)]
    bodies += [b'{"image":%b}' % value for value in VALUES] * 2
    bodies += [b'{"image":"%b"}' % text for text in (b"a", b"====", b"a" * 9_001, b"\\n", b"AAAA")]
    for body in bodies:
        for kind in ("application/json", chance.choice(("", "text/plain", "application/json;a"))):
            answer = service.client.post("/predict", content=body, headers={"content-type": kind})
            found.append(Answer(answer.status_code, dict(answer.headers), answer.content))
    assert ids_of(found) == Counter()
    assert ids(service) == known


def test_hostile_requests_of_every_kind(service: Running) -> None:
    known = ids(service)
    made: Counter[str] = Counter()
    for asked in hostile_requests(7, 300):
        if asked.leaves or asked.path.startswith("/v1/predict_batch"):
            continue
        plain = {name.decode(): value for name, value in asked.headers if name == b"content-type"
                 and b"\0" not in value}
        answer = service.client.request(
            asked.method, quote(asked.path), content=b"".join(asked.body), headers=plain)
        found = [Answer(answer.status_code, dict(answer.headers), answer.content)]
        if asked.path == "/v1/predict":
            made += ids_of(found)
        elif answer.status_code >= 300:
            refusal(found[0])
    assert ids(service) - known == made
