"""Guessing is slow, tells nothing, and stops nobody else."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path

import pytest

from bentos import guesses
from bentos.access import Gate
from bentos.guesses import Guesses, network_of
from resources.api_keys import parse_rate
from tests.gates import (
    SHARED,
    WRONG_KEY,
    Clock,
    make_key,
    name_of,
    problem_of,
    refuses,
    request,
    using,
)

LIMIT = 5
FEW = f"{LIMIT}/minute"


async def use_up(gate: Gate, client: str) -> None:
    for number in range(LIMIT):
        await refuses(gate, f"mlk_{number:012x}_{'A' * 43}", client=client)


def test_failures_of_an_address_are_limited(home: Path) -> None:
    made = make_key(home)

    async def use(gate: Gate) -> None:
        await use_up(gate, "203.0.113.5")
        for credential in (WRONG_KEY, "a.b.c", "mlk_"):
            problem = await problem_of(gate, request(credential, client="203.0.113.5"))
            assert (problem.status, problem.kind) == (429, "too-many-failures")
            assert 1 <= int(problem.headers["retry-after"]) <= 60
        await refuses(gate, WRONG_KEY, client="203.0.113.6")
        assert await name_of(gate, made.text, client="203.0.113.6")

    using(home, use, failed_rate=FEW)


def test_right_guess_looks_like_a_wrong_one_while_refused(home: Path) -> None:
    made = make_key(home)

    async def use(gate: Gate) -> None:
        await use_up(gate, "203.0.113.5")
        wrong = await problem_of(gate, request(WRONG_KEY, client="203.0.113.5"))
        right = await problem_of(gate, request(made.text, client="203.0.113.5"))
        assert (right.status, right.kind, right.detail) == (wrong.status, wrong.kind, wrong.detail)

    using(home, use, failed_rate=FEW)


def test_guesser_does_not_lock_out_who_works_behind_the_same_address(home: Path) -> None:
    made, late = make_key(home), make_key(home)

    async def use(gate: Gate) -> None:
        assert await name_of(gate, made.text)
        await use_up(gate, "192.0.2.7")
        await refuses(gate, WRONG_KEY, "too-many-failures")
        assert await name_of(gate, made.text) == f"key:{made.key.id}"
        await refuses(gate, late.text, "too-many-failures")

    using(home, use, failed_rate=FEW)


def test_refusal_of_an_address_ends(home: Path, clock: Clock) -> None:
    make_key(home)

    async def use(gate: Gate) -> None:
        await use_up(gate, "203.0.113.5")
        for _ in range(3):
            problem = await problem_of(gate, request(WRONG_KEY, client="203.0.113.5"))
            clock.ahead += int(problem.headers["retry-after"]) - 1
            await refuses(gate, WRONG_KEY, "too-many-failures", client="203.0.113.5")
            clock.ahead += 1
            await refuses(gate, WRONG_KEY, client="203.0.113.5")
            clock.ahead += 3600
            await use_up(gate, "203.0.113.5")

    using(home, use, failed_rate=FEW, keys_stale_seconds=100_000)


def test_forwarded_address_is_not_believed(home: Path) -> None:
    make_key(home)

    async def use(gate: Gate) -> None:
        kinds = [
            (await problem_of(gate, request(WRONG_KEY, headers=(
                (b"x-forwarded-for", f"198.51.100.{number}".encode()),
                (b"forwarded", f"for=198.51.100.{number}".encode()),
                (b"x-real-ip", f"198.51.100.{number}".encode()),
            )))).kind
            for number in range(LIMIT + 1)
        ]
        assert kinds == ["invalid-credential"] * LIMIT + ["too-many-failures"]

    using(home, use, failed_rate=FEW)


def test_missing_credential_is_no_guess(home: Path) -> None:
    async def use(gate: Gate) -> None:
        for _ in range(LIMIT * 3):
            assert (await problem_of(gate, request())).kind == "unauthenticated"

    using(home, use, failed_rate=FEW)


def test_unknown_and_known_ids_cost_the_same_comparison(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_key(home)
    compared: list[tuple[int, int]] = []

    def counted(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    real = hmac.compare_digest

    async def use(gate: Gate) -> None:
        monkeypatch.setattr(hmac, "compare_digest", counted)
        await name_of(gate, made.text)
        problems = [
            await problem_of(gate, request(wrong))
            for wrong in (f"mlk_{made.key.id}_{'A' * 43}", WRONG_KEY, "mlk_", "mlk_é")
        ]
        assert compared == [(32, 32)] * 5
        assert {(p.status, p.kind, p.detail, str(p.headers)) for p in problems} == {
            (401, "invalid-credential", problems[0].detail, str(problems[0].headers))
        }

    using(home, use)


def test_tokens_and_keys_are_refused_in_the_same_words(home: Path) -> None:
    make_key(home)

    async def use(gate: Gate) -> None:
        bodies = {
            (await problem_of(gate, request(wrong))).response().body
            for wrong in (WRONG_KEY, "a.b.c", "e30.e30.e30", "nonsense", "")
        }
        assert len(bodies) == 1

    using(home, use, **SHARED)


@pytest.mark.parametrize(("address", "network"), [
    ("203.0.113.5", "203.0.113.5"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
    ("::ffff:203.0.113.5", "203.0.113.5"),
    ("", ""),
    ("unix:/run/socket", "unix:/run/socket"),
])
def test_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_addresses_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "MAX_BLOCKED", 10)
    monkeypatch.setattr(guesses, "MAX_ADMITTED", 10)
    found = Guesses(parse_rate("1/minute"))

    async def flood() -> None:
        for number in range(50):
            found.check(f"198.51.100.{number}", "key:a")
            for _ in range(2):
                await found.failed(f"203.0.113.{number}")

    asyncio.run(flood())
    assert len(found._blocked) == len(found._admitted) == 10
