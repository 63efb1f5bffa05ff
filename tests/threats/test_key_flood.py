"""The identity provider: floods of key ids, rotation, and its absence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bentos.access import Gate
from tests.gates import Clock, make_key, name_of, problem_of, refuses, request, using
from tests.jwks_server import Provider, Signer, provider

REFRESH, COOLDOWN, STALE = 60, 10, 300
AWAY = "token-keys-unavailable"


def at(source: Provider, **settings: Any) -> dict[str, Any]:
    return {"jwt_algorithm": "RS256", "jwt_jwks_url": source.url, "failed_rate": "10000/minute",
            "jwks_refresh_seconds": REFRESH, "jwks_cooldown_seconds": COOLDOWN,
            "keys_stale_seconds": STALE, "jwks_timeout_seconds": 30, **settings}


def test_flood_of_unknown_ids_is_one_fetch(home: Path, signer: Signer, clock: Clock) -> None:
    async def use(gate: Gate) -> None:
        tokens = [signer.token(kid=f"made up {number}") for number in range(200)]
        await asyncio.gather(*(refuses(gate, each) for each in tokens))
        assert await name_of(gate, signer.token()) == "jwt:bob"
        for each in tokens[:20]:
            await refuses(gate, each)

    with provider(signer) as source:
        using(home, use, **at(source))
        assert source.fetches == 1


@pytest.mark.parametrize("status", [200, 500])
def test_flood_goes_on_slowly(home: Path, signer: Signer, clock: Clock, status: int) -> None:
    kind = "invalid-credential" if status == 200 else AWAY

    async def use(gate: Gate) -> None:
        for number in range(35):
            await refuses(gate, signer.token(kid=f"made up {number}"), kind)
            clock.ahead += 1

    with provider(signer) as source:
        source.status = status
        using(home, use, **at(source))
        assert source.fetches == 4


def test_flood_on_a_broken_provider_is_one_fetch_too(
    home: Path, signer: Signer, clock: Clock
) -> None:
    async def use(gate: Gate) -> None:
        tokens = [signer.token(kid=f"made up {number}") for number in range(100)]
        await asyncio.gather(*(refuses(gate, each, AWAY) for each in tokens))

    with provider(signer) as source:
        source.status = 500
        using(home, use, **at(source))
        assert source.fetches == 1


def test_wrong_algorithm_fetches_nothing(home: Path, signer: Signer) -> None:
    elliptic = Signer("first", "ES256")

    async def use(gate: Gate) -> None:
        await refuses(gate, elliptic.token())

    with provider(signer) as source:
        using(home, use, **at(source))
        assert source.fetches == 0


def test_token_without_a_key_id_is_refused(home: Path, signer: Signer) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, signer.token(kid=""))

    with provider(signer) as source:
        source.keys[0].pop("kid")
        using(home, use, **at(source))


def test_new_key_is_taken_up_and_a_removed_one_dropped(
    home: Path, signer: Signer, other_signer: Signer, clock: Clock
) -> None:
    async def use(gate: Gate) -> None:
        assert await name_of(gate, signer.token()) == "jwt:bob"
        source.keys = [other_signer.public()]
        await refuses(gate, other_signer.token())
        assert await name_of(gate, signer.token(sub="ann")) == "jwt:ann"
        clock.ahead += COOLDOWN
        assert await name_of(gate, other_signer.token()) == "jwt:bob"
        await refuses(gate, signer.token(sub="eve"))

    with provider(signer) as source:
        using(home, use, **at(source))


def test_removed_key_is_dropped_without_a_new_one(
    home: Path, signer: Signer, other_signer: Signer, clock: Clock
) -> None:
    async def use(gate: Gate) -> None:
        assert await name_of(gate, signer.token()) == "jwt:bob"
        source.keys = [other_signer.public()]
        clock.ahead += REFRESH - 1
        assert await name_of(gate, signer.token(sub="ann")) == "jwt:ann"
        clock.ahead += 1
        await refuses(gate, signer.token(sub="eve"))

    with provider(signer, other_signer) as source:
        using(home, use, **at(source))


def test_slow_provider_holds_nobody_else_up(home: Path, signer: Signer) -> None:
    key = make_key(home).text

    async def use(gate: Gate) -> None:
        slow = asyncio.create_task(name_of(gate, signer.token()))
        for _ in range(20):
            await name_of(gate, key)
            await asyncio.sleep(0.005)
        assert not slow.done()
        source.answers.set()
        assert await slow == "jwt:bob"

    with provider(signer) as source:
        source.answers.clear()
        using(home, use, **at(source))


def test_provider_that_never_answers_is_given_up(home: Path, signer: Signer) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, signer.token(), AWAY)
        assert not source.answers.is_set()

    with provider(signer) as source:
        source.answers.clear()
        using(home, use, **at(source, jwks_timeout_seconds=0.2))


@pytest.mark.parametrize("broken", ["status", "no keys", "nonsense"])
def test_keys_outlive_an_absent_provider_for_a_while(
    home: Path, signer: Signer, clock: Clock, broken: str
) -> None:
    async def use(gate: Gate) -> None:
        assert await name_of(gate, signer.token()) == "jwt:bob"
        source.status = 503 if broken == "status" else 200
        source.keys = [] if broken == "no keys" else [{"kty": "nonsense"}]
        for ahead in (REFRESH, STALE - COOLDOWN, STALE):
            clock.ahead = ahead
            assert await name_of(gate, signer.token(sub=f"ann {ahead}")) == f"jwt:ann {ahead}"
        clock.ahead = STALE + 1
        problem = await problem_of(gate, request(signer.token(sub="eve")))
        assert (problem.status, problem.kind) == (503, AWAY)
        assert int(problem.headers["retry-after"]) >= 1
        source.status, source.keys = 200, [signer.public()]
        clock.ahead += COOLDOWN
        assert await name_of(gate, signer.token(sub="eve")) == "jwt:eve"

    with provider(signer) as source:
        using(home, use, **at(source))
