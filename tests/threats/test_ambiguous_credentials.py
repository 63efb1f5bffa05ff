"""Several credentials, other schemes, and bytes that no header should hold."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from bentos.access import Gate
from tests.gates import SECRET, SHARED, WRONG_KEY, make_key, problem_of, request, using
from tests.jwks_server import good_claims


def test_both_headers_carry_a_key(home: Path) -> None:
    made = make_key(home)
    key = made.text.encode()

    async def use(gate: Gate) -> None:
        for header in (
            (b"authorization", b"Bearer " + key),
            (b"authorization", b"bearer " + key),
            (b"authorization", b"BEARER   " + key + b" "),
            (b"x-api-key", key),
            (b"x-api-key", b" " + key + b" "),
        ):
            caller = await gate.admit(request(headers=(header,)), "predict")
            assert caller.name == f"key:{made.key.id}"
        same = request(made.text, headers=((b"x-api-key", key),))
        assert (await gate.admit(same, "predict")).name == f"key:{made.key.id}"

    using(home, use)


def test_two_credentials_that_differ_are_refused(home: Path) -> None:
    one, two = make_key(home), make_key(home)
    token = jwt.encode(good_claims(), SECRET)

    async def use(gate: Gate) -> None:
        for headers in (
            ((b"x-api-key", two.text.encode()),),
            ((b"x-api-key", WRONG_KEY.encode()),),
            ((b"authorization", b"Bearer " + two.text.encode()),),
            ((b"authorization", b"Bearer " + token.encode()),),
            ((b"authorization", b"Basic YTpi"),),
            ((b"authorization", b""),),
            ((b"x-api-key", b""),),
        ):
            for ordered in (headers, headers[::-1]):
                problem = await problem_of(gate, request(one.text, headers=ordered))
                assert (problem.status, problem.kind) == (400, "several-credentials")

    using(home, use, **SHARED)


@pytest.mark.parametrize("value", [
    b"", b" ", b"Bearer", b"Bearer ", b"Bearer  ", b"Basic YTpi", b"Digest x", b"bearer\tx",
    b"Bearer x y", b"Bearer \x00", b"Bearer \xff\xfe", b"\xff", b"Bearer mlk_\xff_\xff",
    b"Bearer \xe2\x80\xae", b"Bearer mlk_\r\nX-Injected: 1", b"Bearer a\r\nSet-Cookie: b=c",
    b"Bearer %6d%6c%6b", b"Bearer =?utf-8?b?bWxr?=", b"Bearer " + b"A" * 65_536,
    b"Bearer mlk_" + b"_" * 65_536, "Bearer mľk_".encode(), b"Bearer null", b"Bearer {}",
])
def test_odd_header_is_refused(home: Path, value: bytes) -> None:
    make_key(home)

    async def use(gate: Gate) -> None:
        problem = await problem_of(gate, request(headers=((b"authorization", value),)))
        assert (problem.status, problem.kind) == (401, "invalid-credential")
        assert problem.headers["www-authenticate"].startswith("Bearer ")
        sent = problem.response()
        assert b"njected" not in sent.body
        assert not any(b"\r" in part or b"\n" in part for item in sent.raw_headers for part in item)

    using(home, use, **SHARED)


def test_token_is_no_api_key(home: Path) -> None:
    token = jwt.encode(good_claims(), SECRET).encode()

    async def use(gate: Gate) -> None:
        problem = await problem_of(gate, request(headers=((b"x-api-key", token),)))
        assert problem.kind == "invalid-credential"

    using(home, use, **SHARED)


def test_no_credential_is_told_how(home: Path) -> None:
    async def use(gate: Gate) -> None:
        for headers in ((), ((b"cookie", b"key=mlk_"),), ((b"proxy-authorization", b"Bearer x"),)):
            problem = await problem_of(gate, request(headers=headers))
            assert (problem.status, problem.kind) == (401, "unauthenticated")
            assert problem.headers["www-authenticate"] == 'Bearer realm="mlops-assets"'
            assert "X-API-Key" in problem.detail

    using(home, use)


def test_request_without_addresses_is_answered(home: Path) -> None:
    made = make_key(home)

    async def use(gate: Gate) -> None:
        for missing in ({"client": None}, {"server": None}):
            assert await gate.admit(request(made.text) | missing, "predict")
            assert (await problem_of(gate, request("x") | missing)).status == 401

    using(home, use)
