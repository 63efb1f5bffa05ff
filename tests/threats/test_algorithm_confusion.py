"""A token may not choose how it is checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from bentos.access import Gate
from tests.gates import SECRET, SHARED, name_of, refuses, using
from tests.jwks_server import Signer, good_claims, provider


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forged(header: dict[str, Any], secret: bytes | None) -> str:
    """A token made by hand, since PyJWT refuses to make such."""
    parts = [segment(json.dumps(part).encode()) for part in (header, good_claims())]
    signed = ".".join(parts)
    if secret is None:
        return signed + "."
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None])
def test_alg_none_is_refused(home: Path, alg: str | None) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, forged({"alg": alg, "typ": "JWT"}, None))
        await refuses(gate, forged({"alg": alg, "typ": "JWT"}, b""))

    using(home, use, **SHARED)


def test_public_key_is_no_shared_secret(home: Path, signer: Signer) -> None:
    async def use(gate: Gate) -> None:
        public = signer.public_pem()
        for secret in (public, public.strip(), json.dumps(signer.public()).encode()):
            await refuses(gate, forged({"alg": "HS256", "kid": "first"}, secret))
        assert await name_of(gate, signer.token()) == "jwt:bob"

    with provider(signer) as source:
        using(home, use, jwt_algorithm="RS256", jwt_jwks_url=source.url)


@pytest.mark.parametrize("alg", ["HS384", "HS512"])
@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_right_secret_with_another_algorithm_is_refused(home: Path, alg: str) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, jwt.encode(good_claims(), SECRET, algorithm=alg))
        assert await name_of(gate, jwt.encode(good_claims(), SECRET)) == "jwt:bob"

    using(home, use, **SHARED)


def test_asymmetric_token_is_refused_where_the_secret_is_shared(
    home: Path, signer: Signer
) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, signer.token())

    using(home, use, **SHARED)


def test_key_that_the_token_brings_is_not_used(
    home: Path, signer: Signer, other_signer: Signer
) -> None:
    async def use(gate: Gate) -> None:
        for brought in ({"jwk": other_signer.public()}, {"jku": evil.url}, {"x5u": evil.url}):
            token = jwt.encode(
                good_claims(), other_signer.private, algorithm="RS256",
                headers={"kid": "first", **brought},
            )
            await refuses(gate, token)

    with provider(signer) as source, provider(other_signer) as evil:
        using(home, use, jwt_algorithm="RS256", jwt_jwks_url=source.url)
        assert evil.fetches == 0


def test_keys_of_other_algorithms_in_the_set_are_not_used(home: Path, signer: Signer) -> None:
    weak = {"kty": "oct", "kid": "weak", "k": segment(SECRET.encode()), "alg": "HS256"}

    async def use(gate: Gate) -> None:
        for alg in ("HS256", "RS256"):
            await refuses(gate, forged({"alg": alg, "kid": "weak"}, SECRET.encode()))
        assert await name_of(gate, signer.token()) == "jwt:bob"

    with provider(signer) as source:
        source.keys.append(weak)
        using(home, use, jwt_algorithm="RS256", jwt_jwks_url=source.url)


def test_key_for_encryption_does_not_sign(home: Path, signer: Signer) -> None:
    async def use(gate: Gate) -> None:
        await refuses(gate, signer.token())

    with provider(signer) as source:
        source.keys[0]["use"] = "enc"
        using(home, use, jwt_algorithm="RS256", jwt_jwks_url=source.url)


def test_elliptic_signatures_are_taken_where_the_settings_say_so(
    home: Path, signer: Signer
) -> None:
    elliptic = Signer("curve", "ES256")

    async def use(gate: Gate) -> None:
        assert await name_of(gate, elliptic.token()) == "jwt:bob"
        await refuses(gate, signer.token())

    with provider(elliptic, signer) as source:
        using(home, use, jwt_algorithm="ES256", jwt_jwks_url=source.url)
