"""Tokens that are out of date, for somebody else, incomplete or altered."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from bentos.access import Gate
from bentos.caller import ALL_SCOPES
from tests.gates import SECRET, SHARED, Clock, name_of, refuses, request, using
from tests.jwks_server import good_claims

NOW = int(time.time())
# The suite may take longer than an hour from when this module is read.
DAY = 86_400


def token(**changed: Any) -> str:
    return jwt.encode(good_claims(**changed), SECRET)


@pytest.mark.parametrize("changed", [
    pytest.param({"exp": NOW - 60}, id="expired"),
    pytest.param({"exp": None}, id="never expires"),
    pytest.param({"exp": "tomorrow"}, id="exp is no number"),
    pytest.param({"exp": float("inf")}, id="exp is infinite"),
    pytest.param({"nbf": NOW + DAY}, id="not yet valid"),
    pytest.param({"iat": NOW + DAY}, id="issued in the future"),
    pytest.param({"aud": "another service"}, id="wrong audience"),
    pytest.param({"aud": ["another service"]}, id="wrong audiences"),
    pytest.param({"aud": None}, id="no audience"),
    pytest.param({"aud": []}, id="empty audience"),
    pytest.param({"iss": "https://evil.test"}, id="wrong issuer"),
    pytest.param({"iss": "https://issuer.test/"}, id="nearly the issuer"),
    pytest.param({"iss": None}, id="no issuer"),
    pytest.param({"sub": None}, id="no subject"),
    pytest.param({"sub": ""}, id="empty subject"),
    pytest.param({"sub": 7}, id="subject is a number"),
    pytest.param({"sub": "bob\nkey:admin"}, id="subject with a line break"),
    pytest.param({"sub": "b" * 201}, id="endless subject"),
    pytest.param({"scope": {"predict": True}}, id="scope is an object"),
    pytest.param({"scope": [["predict"]]}, id="scope is nested"),
])
def test_false_claim_is_refused(home: Path, changed: dict[str, Any]) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, token(**changed))

    using(home, use, **SHARED)


@pytest.mark.parametrize(("claims", "scopes"), [
    ({"scope": "predict feedback"}, {"predict", "feedback"}),
    ({"scope": "predict", "scp": "admin"}, {"predict"}),
    ({"scope": None, "scp": ["predict", "explain"]}, {"predict", "explain"}),
    ({"scope": None, "scp": "predict openid email"}, {"predict"}),
    ({"scope": "predict admin"}, ALL_SCOPES),
])
def test_scopes_are_read(home: Path, claims: dict[str, Any], scopes: set[str]) -> None:
    async def use(gate: Gate) -> None:
        caller = await gate.admit(request(token(**claims)), "predict")
        assert (caller.name, caller.scopes) == ("jwt:bob", scopes)

    using(home, use, **SHARED)


def test_clocks_may_differ_by_the_leeway_only(home: Path) -> None:
    async def use(gate: Gate) -> None:
        now = int(time.time())
        assert await name_of(gate, token(exp=now - 2)) == "jwt:bob"
        assert await name_of(gate, token(nbf=now + 3)) == "jwt:bob"
        await refuses(gate, token(exp=now - 6))

    using(home, use, jwt_leeway_seconds=5, **SHARED)


def test_remembered_token_is_checked_again_when_it_expires(
    home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[float] = []

    def counted(*arguments: Any, **options: Any) -> dict[str, Any]:
        checked.append(clock.ahead)
        return real(*arguments, **options)

    real = jwt.decode
    monkeypatch.setattr(jwt, "decode", counted)

    async def use(gate: Gate) -> None:
        short, long = token(exp=int(clock.time()) + 30), token(exp=int(clock.time()) + 3600)
        for ahead in (0, 1, 28, 31, 59, 61):
            clock.ahead = ahead
            assert await name_of(gate, short) == await name_of(gate, long) == "jwt:bob"

    using(home, use, **SHARED)
    assert checked == [0, 0, 31, 59, 61, 61]


def test_altered_token_is_refused(home: Path) -> None:
    async def use(gate: Gate) -> None:
        good = token()
        header, _, signature = good.split(".")
        more = json.dumps(good_claims(scope="admin")).encode()
        payload = base64.urlsafe_b64encode(more).rstrip(b"=").decode()
        assert await name_of(gate, good) == "jwt:bob"
        for altered in (
            f"{header}.{payload}.{signature}",
            good[:-1],
            good + "A",
            good.rpartition(".")[0],
            good.rpartition(".")[0] + ".",
            f"{good}.{signature}",
            jwt.encode(good_claims(), SECRET[::-1]),
        ):
            await refuses(gate, altered)

    using(home, use, **SHARED)


@pytest.mark.parametrize("text", [
    ".", "..", "...", "a.b.c", "e30.e30.", "eyJhbGciOiJIUzI1NiJ9", "\x00.\x00.\x00", "é.é.é",
    "W10.e30.AA", "bnVsbA.e30.AA", "A" * 100_000,
])
def test_what_is_no_token_is_refused(home: Path, text: str) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, text)

    using(home, use, **SHARED)


def test_without_tokens_set_up_none_is_taken(home: Path) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, token())

    using(home, use)
