"""No key, token or secret is ever in a log, a problem, an exception or the database."""

from __future__ import annotations

import contextlib
import logging
import traceback
from pathlib import Path
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from bentos.access import AccessSettings, Gate
from bentos.access_settings import AccessMisconfigured, load_access_settings
from bentos.problems import Problem
from tests.gates import SECRET, SHARED, make_key, request, using
from tests.jwks_server import Signer, good_claims, provider

MARK = "LeAkMaRk"


def told_by(problem: Problem) -> str:
    """Everything that a problem could tell: its answer, and its traceback with all causes."""
    sent = problem.response()
    trace = "".join(traceback.format_exception(problem, chain=True))
    return f"{sent.body!r} {sent.raw_headers!r} {problem!r} {vars(problem)!r} {trace}"


async def ask(gate: Gate, credential: str, told: list[str]) -> None:
    for head in (
        request(credential),
        request(headers=((b"x-api-key", credential.encode()),)),
        request(credential, headers=((b"x-api-key", b"mlk_other"),)),
    ):
        with contextlib.suppress(Problem):
            try:
                await gate.admit(head, "admin")
            except Problem as problem:
                told.append(told_by(problem))
                raise


def credentials(signer: Signer) -> list[str]:
    token = jwt.encode(good_claims(jti=MARK), SECRET)
    return [
        f"mlk_0123456789ab_{MARK}{'A' * 35}", f"mlk_{MARK}", MARK, f"{MARK}.{MARK}.{MARK}",
        token, token + MARK, f"e30.e30.{MARK}", signer.token(kid=MARK), signer.token(sub=MARK),
        jwt.encode(good_claims(exp=1, jti=MARK), SECRET), jwt.encode(good_claims(aud=MARK), SECRET),
    ]


@pytest.mark.parametrize("set_up", ["none", "shared", "provider", "provider away", "redis away"])
def test_nothing_of_a_credential_is_told(
    home: Path, signer: Signer, caplog: pytest.LogCaptureFixture, set_up: str
) -> None:
    caplog.set_level(logging.DEBUG)
    sent = [*credentials(signer), make_key(home).text]
    told: list[str] = []

    async def use(gate: Gate) -> None:
        for credential in sent:
            await ask(gate, credential, told)

    with provider(signer) as source:
        if set_up == "provider away":
            source.status = 500
        settings: dict[str, dict[str, Any]] = {
            "shared": SHARED,
            "provider": {"jwt_algorithm": "RS256", "jwt_jwks_url": source.url},
            "redis away": {"redis_url": f"redis://user:{MARK}@127.0.0.1:1/0"},
        }
        settings["provider away"] = settings["provider"]
        using(home, use, failed_rate="10/minute", **settings.get(set_up, {}))
    everything = " ".join(told) + caplog.text
    assert told
    assert "too-many-failures" in everything
    for credential in sent:
        for part in (credential, *credential.split("."), credential.partition("_")[2]):
            assert len(part) < 6 or part not in everything
    assert MARK not in everything
    assert SECRET not in everything


@pytest.mark.parametrize("variables", [
    {"JWT_SECRET": MARK},
    {"JWT_SECRET": MARK * 8, "JWT_ALGORITHM": "RS256"},
    {"JWT_SECRET": MARK * 8, "RATE": "no"},
    {"REDIS_URL": f"redis://:{MARK}@host:{MARK}"},
    {"REDIS_URL": f"nonsense://:{MARK}@host"},
    {"JWT_ALGORITHM": "RS256", "JWT_JWKS_URL": f"https://u:{MARK}@issuer.test", "JWT_AUDIENCE": "a",
     "JWT_ISSUER": "b"},
])
def test_no_secret_is_in_the_error_of_a_setting(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MLOPS_SERVICE_{name}", value)
    with pytest.raises(AccessMisconfigured) as caught:
        load_access_settings()
    assert MARK not in "".join(traceback.format_exception(caught.value))
    assert MARK not in str(vars(caught.value))
    with pytest.raises(ValidationError) as raw:
        AccessSettings()
    assert MARK not in str(raw.value)


def test_no_secret_is_in_the_text_of_an_object(home: Path) -> None:
    made = make_key(home)
    secret = made.text.split("_", 2)[2]
    settings = AccessSettings(redis_url=f"redis://:{MARK}@host", **SHARED,  # type: ignore[arg-type]
                              jwt_audience="a", jwt_issuer="b")
    shown = f"{made!r} {made.key!r} {settings!r} {settings.model_dump()} {settings}"
    assert secret not in shown
    assert made.key.sha256 not in shown
    assert SECRET not in shown
    assert MARK not in shown


def test_secret_is_not_in_the_database(home: Path) -> None:
    made = make_key(home)
    kept = (home / "platform.db").read_bytes()
    assert made.key.id.encode() in kept
    assert made.text.split("_", 2)[2].encode() not in kept
