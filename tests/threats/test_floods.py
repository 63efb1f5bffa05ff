"""Each caller has a rate; who exceeds it is told when to come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentos import rates
from bentos.access import Gate
from bentos.rates import LocalRates, SharedRates, seconds_to_wait
from resources.api_keys import parse_rate
from tests.gates import (
    SECRET,
    SHARED,
    Clock,
    make_key,
    name_of,
    opened,
    problem_of,
    request,
    using,
)
from tests.jwks_server import good_claims
from tests.redis_server import redis_server
from tests.running import free_port

MANY = parse_rate("3/2 seconds")


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no absent Redis."""
    monkeypatch.setattr(rates, "REDIS_SECONDS", 10.0)


@pytest.fixture(params=["local", "redis"])
def counting(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a gate that counts in process, or in Redis."""
    return {} if request.param == "local" else {"redis_url": request.getfixturevalue("redis_url")}


def test_so_many_are_allowed_then_429_for_each_caller(
    home: Path, counting: dict[str, Any]
) -> None:
    made, other = make_key(home, rate="4/hour"), make_key(home)
    token = jwt.encode(good_claims(sub=f"floods {counting}"), SECRET)

    async def use(gate: Gate) -> None:
        for _ in range(4):
            assert await name_of(gate, made.text) == f"key:{made.key.id}"
        problem = await problem_of(gate, request(made.text, client="198.51.100.9"))
        assert (problem.status, problem.kind) == (429, "rate-limited")
        assert 1 <= int(problem.headers["retry-after"]) <= 7200
        for _ in range(6):
            assert await name_of(gate, other.text) == f"key:{other.key.id}"
            assert await name_of(gate, token)
        assert (await problem_of(gate, request(other.text))).kind == "rate-limited"
        assert (await problem_of(gate, request(token))).kind == "rate-limited"

    using(home, use, rate="6/hour", **SHARED, **counting)


def test_missing_scope_counts_too(home: Path) -> None:
    made = make_key(home, "feedback", rate="2/hour")

    async def use(gate: Gate) -> None:
        kinds = [(await problem_of(gate, request(made.text))).kind for _ in range(3)]
        assert kinds == ["missing-scope", "missing-scope", "rate-limited"]

    using(home, use)


def test_who_waits_as_told_is_admitted(clock: Clock) -> None:
    async def run() -> None:
        counted, rate = LocalRates(), parse_rate("3/minute")
        for round_ in range(20):
            hits = 0
            while not (wait := await counted.hit("waits", rate)):
                hits += 1
            assert 1 <= hits <= 3
            assert 0 < wait <= 120
            clock.ahead += wait - 0.01
            assert await counted.hit("waits", rate)
            clock.ahead += 0.02 + round_ * 7 % 60

    asyncio.run(run())


def test_who_waits_as_told_is_admitted_by_redis(redis_url: str) -> None:
    async def run() -> None:
        counted = SharedRates(redis_url)
        while not (wait := await counted.hit("waits", MANY)):
            pass
        assert 0 < wait <= 4
        await asyncio.sleep(wait + 0.05)
        assert await counted.hit("waits", MANY) == 0
        await counted.close()

    asyncio.run(run())


@given(
    amount=st.integers(1, 1000), seconds=st.integers(1, 86400), previous=st.integers(0, 1000),
    current=st.integers(0, 1000), share=st.floats(0, 1),
)
def test_wait_is_what_the_window_needs(
    amount: int, seconds: int, previous: int, current: int, share: float
) -> None:
    rate = parse_rate(f"{amount}/{seconds} seconds")
    previous, current, left = min(previous, amount), min(current, amount), share * seconds
    if previous * left / seconds + current < amount:
        return

    def weighted(later: float) -> float:
        if later < left:
            return previous * (left - later) / seconds + current
        return current * max(left + seconds - later, 0) / seconds

    wait = seconds_to_wait(rate, previous=previous, current=current, left=left)
    assert weighted(wait + 1e-6 * seconds) < amount
    assert weighted(wait - 1e-6 * seconds - rates.SHORTEST) >= amount - 1e-6 * amount


def test_rate_holds_over_time(clock: Clock) -> None:
    admitted = []

    async def run() -> None:
        counted, rate = LocalRates(), parse_rate("10/minute")
        for clock.ahead in range(1000):
            if not await counted.hit("steady", rate):
                admitted.append(clock.ahead)

    asyncio.run(run())
    # A weighted window takes the one before as even, so after a burst a minute may see more.
    worst = max(sum(start <= each < start + 60 for each in admitted) for start in admitted)
    assert worst < 2 * 10
    assert 0.9 * 1000 / 6 <= len(admitted) <= 1.1 * 1000 / 6


def test_callers_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_WINDOWS", 100)
    counted = LocalRates()

    async def flood() -> None:
        for number in range(1000):
            await counted.hit(f"caller {number}", MANY)

    asyncio.run(flood())
    assert len(counted._windows) == 100


def test_processes_share_one_rate_in_redis(home: Path, redis_url: str) -> None:
    made = make_key(home, rate="4/hour")

    async def run() -> None:
        settings = {"redis_url": redis_url}
        async with opened(home, **settings) as one, opened(home, **settings) as two:
            for gate in (one, two, one, two):
                await name_of(gate, made.text)
            for gate in (one, two):
                assert (await problem_of(gate, request(made.text))).kind == "rate-limited"

    asyncio.run(run())


def test_concurrent_requests_do_not_pass_the_rate(
    home: Path, counting: dict[str, Any]
) -> None:
    made = make_key(home, rate="20/hour")

    async def use(gate: Gate) -> None:
        found = await asyncio.gather(
            *(gate.admit(request(made.text), "predict") for _ in range(60)),
            return_exceptions=True,
        )
        assert sum(not isinstance(each, Exception) for each in found) == 20

    using(home, use, **counting)


def test_without_redis_each_process_limits_by_itself(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(rates, "REDIS_PAUSE", 0.2)
    made, port = make_key(home, rate="3/hour"), free_port()

    async def run() -> None:
        async with opened(home, redis_url=f"redis://127.0.0.1:{port}") as gate:
            for _ in range(2):
                for _ in range(3):
                    assert await name_of(gate, made.text) == f"key:{made.key.id}"
                    await asyncio.sleep(0.1)
                assert (await problem_of(gate, request(made.text))).kind == "rate-limited"
                gate._rates._local = LocalRates()
            await asyncio.sleep(0.3)
            with redis_server(tmp_path, port=port):
                for _ in range(3):
                    await name_of(gate, made.text)
                assert (await problem_of(gate, request(made.text))).kind == "rate-limited"
                assert not gate._rates._local._windows

    asyncio.run(run())
    told = [each for each in caplog.messages if "Redis" in each]
    assert len(told) == 1
    assert "each process limits by itself" in told[0]


def test_redis_that_hangs_delays_one_request_shortly(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "REDIS_SECONDS", 0.25)
    monkeypatch.setattr(rates, "REDIS_PAUSE", 600)
    made = make_key(home)
    asked = 0

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    async def run() -> None:
        silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        async with opened(home, redis_url=f"redis://127.0.0.1:{port}") as gate:
            for _ in range(20):
                await name_of(gate, made.text)
        silent.close()
        await silent.wait_closed()

    asyncio.run(run())
    assert asked == 1
