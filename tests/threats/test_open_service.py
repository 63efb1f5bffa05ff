"""Without authentication the service answers its own machine only."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentos.access import Gate
from bentos.caller import ALL_SCOPES
from tests.gates import WRONG_KEY, problem_of, request, using


@pytest.mark.parametrize("server", ["127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_answered_when_off(home: Path, server: str) -> None:
    async def use(gate: Gate) -> None:
        for credential in (None, WRONG_KEY):
            caller = await gate.admit(request(credential, server=server), "admin")
            assert (caller.name, caller.scopes) == ("anonymous", ALL_SCOPES)

    using(home, use, auth="off")


@pytest.mark.parametrize("server", [
    "192.0.2.1", "0.0.0.0", "::", "10.0.0.1", "169.254.1.1", "2001:db8::1", "::ffff:192.0.2.1",
    "localhost.evil.test", "service", "127.0.0.1.evil.test", "", None,
])
def test_every_other_address_is_refused_when_off(home: Path, server: str | None) -> None:
    async def use(gate: Gate) -> None:
        # The client's own address says nothing: a proxy beside the service is on loopback too.
        problem = await problem_of(gate, request(server=server, client="127.0.0.1"))
        assert (problem.status, problem.kind) == (403, "authentication-off")
        assert "MLOPS_SERVICE_AUTH=on" in problem.detail

    using(home, use, auth="off")


def test_on_is_the_default(home: Path) -> None:
    async def use(gate: Gate) -> None:
        assert (await problem_of(gate, request(server="127.0.0.1"))).status == 401

    using(home, use)
