"""What the tests of threats share. Keys are made once: RSA takes its time."""

from __future__ import annotations

import pytest

from tests.gates import Clock
from tests.jwks_server import Signer


@pytest.fixture(scope="session")
def signer() -> Signer:
    """The provider's key."""
    return Signer("first")


@pytest.fixture(scope="session")
def other_signer() -> Signer:
    """Another key."""
    return Signer("second")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The gate's own clock, which the test moves: a busy machine changes no result."""
    made = Clock()
    for module in ("guesses", "jwks", "keyring", "notices", "rates", "tokens"):
        monkeypatch.setattr(f"bentos.{module}.time", made)
    return made
