"""Opens the service's gate on a real platform database, and asks it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from bentos.access import AccessSettings, Gate, Needed
from bentos.problems import Problem
from resources.api_keys import ApiKeys, NewKey
from resources.platform_db import PlatformDatabase, database_at
from tests.jwks_server import AUDIENCE, ISSUER

CLIENT, SERVER = "192.0.2.7", "192.0.2.1"
REFRESH, PATIENCE = 0.05, 30
SECRET = "correct horse battery staple, and more"
SHARED = {"jwt_algorithm": "HS256", "jwt_secret": SECRET}
WRONG_KEY = f"mlk_0123456789ab_{'A' * 43}"


class Clock:
    """Stands still, wherever the gate looks at the time, until ``ahead`` seconds are added."""

    def __init__(self) -> None:
        self._monotonic, self._time = time.monotonic(), time.time()
        self.ahead = 0.0

    def monotonic(self) -> float:
        """As ``time.monotonic``."""
        return self._monotonic + self.ahead

    def time(self) -> float:
        """As ``time.time``."""
        return self._time + self.ahead


def make_key(home: Path, *scopes: str, **options: Any) -> NewKey:
    """A key in the platform database below ``home``."""
    with closing(PlatformDatabase(home)) as database:
        return ApiKeys(database).create(
            name="test", scopes=scopes or ("predict",), actor="ann", reason="a test", **options
        )


def revoke_key(home: Path, key_id: str) -> None:
    """End a key."""
    with closing(PlatformDatabase(home)) as database:
        ApiKeys(database).revoke(key_id, actor="ann", reason="a test")


@asynccontextmanager
async def opened(home: Path, **settings: Any) -> AsyncIterator[Gate]:
    """A gate that has read its keys; quick to notice changes."""
    if "jwt_algorithm" in settings:
        settings = {"jwt_audience": AUDIENCE, "jwt_issuer": ISSUER, **settings}
    made = AccessSettings(**{"keys_refresh_seconds": REFRESH, **settings})
    gate = Gate(made, database_url=database_at(home))
    await gate.start()
    try:
        yield gate
    finally:
        await gate.close()


def using(home: Path, use: Callable[[Gate], Coroutine[Any, Any, None]], **settings: Any) -> None:
    """Run ``use`` with a gate, on an event loop of its own."""

    async def run() -> None:
        async with opened(home, **settings) as gate:
            await use(gate)

    asyncio.run(run())


def request(
    credential: str | None = None,
    *,
    client: str = CLIENT,
    server: str | None = SERVER,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> dict[str, Any]:
    """The head of a request; ``credential`` is sent as a bearer."""
    sent = list(headers)
    if credential is not None:
        sent.append((b"authorization", b"Bearer " + credential.encode()))
    return {
        "type": "http", "headers": sent, "client": (client, 40000),
        "server": None if server is None else (server, 8000),
    }


async def name_of(gate: Gate, credential: str, needed: Needed = "predict", **head: Any) -> str:
    """The name under which a credential is admitted."""
    return (await gate.admit(request(credential, **head), needed)).name


async def problem_of(gate: Gate, scope: dict[str, Any], needed: Needed = "predict") -> Problem:
    """How the gate refuses a request; to admit it is a failure."""
    try:
        caller = await gate.admit(scope, needed)
    except Problem as problem:
        return problem
    raise AssertionError(f"{caller} was admitted")


async def eventually(gate: Gate, credential: str, kind: str | None) -> None:
    """Wait until a credential is admitted (None), or refused with this kind of problem."""
    found: str | None = ""
    async with asyncio.timeout(PATIENCE):
        while found != kind:
            await asyncio.sleep(0.01)
            try:
                await gate.admit(request(credential), "predict")
                found = None
            except Problem as problem:
                found = problem.kind


async def refuses(
    gate: Gate, credential: str | None, kind: str = "invalid-credential", **head: Any
) -> None:
    """Assert that a credential is refused with this kind of problem."""
    assert (await problem_of(gate, request(credential, **head))).kind == kind
