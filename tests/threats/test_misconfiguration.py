"""Settings that contradict each other stop the service with one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentos.access import Gate
from bentos.access_settings import AccessMisconfigured, load_access_settings
from mlops_assets.contracts.errors import PlatformError

LONG = "a shared secret that is long enough!"
COMMON = {"JWT_AUDIENCE": "classifier", "JWT_ISSUER": "https://issuer.test"}
JWKS = {"JWT_JWKS_URL": "https://issuer.test/jwks.json"}


@pytest.mark.parametrize(("variables", "told"), [
    ({"AUTH": "maybe"}, "MLOPS_SERVICE_AUTH"),
    ({"AUTH": "OFF"}, "MLOPS_SERVICE_AUTH"),
    ({"RATE": "many"}, "MLOPS_SERVICE_RATE `many` is no rate"),
    ({"FAILED_RATE": "0/minute"}, "MLOPS_SERVICE_FAILED_RATE"),
    ({"RATE": "5/minute; 9/hour"}, "MLOPS_SERVICE_RATE"),
    ({"KEYS_REFRESH_SECONDS": "0"}, "MLOPS_SERVICE_KEYS_REFRESH_SECONDS"),
    ({"KEYS_STALE_SECONDS": "30"}, "MLOPS_SERVICE_KEYS_STALE_SECONDS must be more"),
    ({"REDIS_URL": "http://127.0.0.1"}, "MLOPS_SERVICE_REDIS_URL"),
    ({"JWT_ALGORITHM": "none"}, "MLOPS_SERVICE_JWT_ALGORITHM"),
    ({"JWT_SECRET": LONG, **COMMON}, "without MLOPS_SERVICE_JWT_ALGORITHM"),
    ({"JWT_ALGORITHM": "HS256", **COMMON}, "HS256 needs MLOPS_SERVICE_JWT_SECRET"),
    ({"JWT_ALGORITHM": "HS256", **JWKS, **COMMON}, "given: MLOPS_SERVICE_JWT_JWKS_URL"),
    ({"JWT_ALGORITHM": "RS256", "JWT_SECRET": LONG, **COMMON}, "RS256 needs MLOPS_SERVICE_JWT_JW"),
    ({"JWT_ALGORITHM": "RS256", "JWT_SECRET": LONG, **JWKS, **COMMON}, "no other source of keys"),
    ({"JWT_ALGORITHM": "RS256", **JWKS}, "MLOPS_SERVICE_JWT_AUDIENCE"),
    ({"JWT_ALGORITHM": "HS256", "JWT_SECRET": "short", **COMMON}, "less than 32 bytes"),
    ({"JWT_ALGORITHM": "HS256", "JWT_SECRET_FILE": "/nowhere", **COMMON}, "/nowhere: No such"),
    ({"JWT_ALGORITHM": "RS256", "JWT_JWKS_URL": "http://issuer.test/k", **COMMON}, "https://"),
    ({"JWT_ALGORITHM": "RS256", "JWT_JWKS_URL": "file:///etc/passwd", **COMMON}, "https://"),
    ({"JWT_ALGORITHM": "RS256", "JWT_JWKS_URL": "https://a:b@issuer.test/", **COMMON}, "a user"),
    ({"AUTH": "off", "JWT_ALGORITHM": "RS256", **JWKS, **COMMON}, "is off, but tokens are set up"),
])
def test_contradiction_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MLOPS_SERVICE_{name}", value)
    with pytest.raises(AccessMisconfigured) as caught:
        Gate.from_environment()
    message = str(caught.value)
    assert told in message
    assert "\n" not in message
    assert LONG not in message
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("url", ["nonsense", "nosuchkind://host/db", "mysql+nodriver://host/db"])
def test_unknown_database_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", url)
    with pytest.raises(PlatformError, match="MLOPS_DATABASE_URL names no database"):
        Gate.from_environment()


def test_empty_variables_are_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH", "JWT_SECRET", "JWT_JWKS_URL", "REDIS_URL"):
        monkeypatch.setenv(f"MLOPS_SERVICE_{name}", "")
    settings = load_access_settings()
    assert (settings.auth, settings.jwt_secret, settings.redis_url) == ("on", None, None)


def test_secret_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text(LONG + "\n")
    variables = {"JWT_ALGORITHM": "HS256", "JWT_SECRET_FILE": str(tmp_path / "secret"), **COMMON}
    for name, value in variables.items():
        monkeypatch.setenv(f"MLOPS_SERVICE_{name}", value)
    assert load_access_settings().shared_secret() == LONG.encode()
