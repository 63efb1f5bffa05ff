"""Keys that are revoked or expired, that may do less, or whose database is away."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bentos.access import Gate, Needed
from bentos.caller import ALL_SCOPES
from tests.gates import (
    CLIENT,
    REFRESH,
    WRONG_KEY,
    Clock,
    eventually,
    make_key,
    name_of,
    problem_of,
    refuses,
    request,
    revoke_key,
    using,
)

SLACK = 10

def test_revoked_key_stops_within_the_refresh_time(home: Path) -> None:
    made, kept = make_key(home), make_key(home)

    async def use(gate: Gate) -> None:
        assert await name_of(gate, made.text) == f"key:{made.key.id}"
        revoke_key(home, made.key.id)
        began = time.monotonic()
        await eventually(gate, made.text, "invalid-credential")
        # The database still answers, so nothing but the refresh can have ended it.
        assert time.monotonic() - began < REFRESH + SLACK
        assert await name_of(gate, kept.text) == f"key:{kept.key.id}"

    using(home, use)


def test_new_key_works_within_the_refresh_time(home: Path) -> None:
    make_key(home)

    async def use(gate: Gate) -> None:
        made = make_key(home)
        await eventually(gate, made.text, None)

    using(home, use)


def test_key_ends_at_its_expiry_and_not_a_refresh_later(home: Path, clock: Clock) -> None:
    made = make_key(home, expires_at=datetime.now(UTC) + timedelta(hours=1))

    async def use(gate: Gate) -> None:
        clock.ahead = 3590
        assert await name_of(gate, made.text) == f"key:{made.key.id}"
        clock.ahead = 3610
        await refuses(gate, made.text)

    using(home, use, keys_refresh_seconds=60, keys_stale_seconds=10_000)


def test_scope_that_a_key_lacks_is_refused(home: Path) -> None:
    made, admin = make_key(home, "predict", "feedback"), make_key(home, "admin")

    async def use(gate: Gate) -> None:
        needs: list[Needed] = ["predict", "explain", "feedback", "admin"]
        for needed in needs:
            caller = await gate.admit(request(admin.text), needed)
            assert caller.scopes == ALL_SCOPES
            if needed in ("predict", "feedback"):
                await gate.admit(request(made.text), needed)
                continue
            problem = await problem_of(gate, request(made.text), needed)
            assert (problem.status, problem.kind) == (403, "missing-scope")
            assert f'scope="{needed}"' in problem.headers["www-authenticate"]

    using(home, use)


def test_nearly_a_key_is_refused(home: Path) -> None:
    made, other = make_key(home), make_key(home)
    _, key_id, secret = made.text.split("_", 2)

    async def use(gate: Gate) -> None:
        for wrong in (
            made.text[:-1], made.text + "A", made.text.upper(), f"mlk_{key_id}_", f"mlk_{key_id}",
            f"mlk_{key_id}_{other.text.split('_', 2)[2]}", f"mlk__{secret}", f"mlk_{secret}",
            "mlk_", "mlk__", f"mlk_{key_id}_{made.key.sha256}", f"mlk_{key_id[:-1]}_{secret}",
            f"mlk_{key_id}%00_{secret}", f"mlk_{key_id}' OR '1'='1_{secret}", f"{key_id}_{secret}",
        ):
            await refuses(gate, wrong)

    using(home, use)


def test_service_starts_without_its_database_and_answers_503_until_it_is_there(home: Path) -> None:
    async def use(gate: Gate) -> None:
        for key in (WRONG_KEY, "mlk_"):
            problem = await problem_of(gate, request(key))
            assert (problem.status, problem.kind) == (503, "keys-unavailable")
            assert int(problem.headers["retry-after"]) >= 1
        assert (await problem_of(gate, request())).status == 401
        await refuses(gate, "a.b.c")
        made = make_key(home)
        await eventually(gate, made.text, None)
        await refuses(gate, WRONG_KEY)

    using(home, use)


def test_keys_outlive_their_database_for_the_stated_time(home: Path, clock: Clock) -> None:
    made = make_key(home)

    async def use(gate: Gate) -> None:
        assert await name_of(gate, made.text) == f"key:{made.key.id}"
        (home / "platform.db").rename(home / "elsewhere.db")
        await asyncio.sleep(REFRESH * 4)
        clock.ahead = 300
        assert await name_of(gate, made.text) == f"key:{made.key.id}"
        clock.ahead = 301
        await refuses(gate, made.text, "keys-unavailable")
        (home / "elsewhere.db").rename(home / "platform.db")
        await eventually(gate, made.text, None)

    using(home, use)


@pytest.mark.parametrize("known", [True, False])
def test_valid_key_touches_no_database(
    home: Path, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_key(home)

    async def use(gate: Gate) -> None:
        def forbidden(*_: object) -> None:
            raise AssertionError("the database was read")

        monkeypatch.setattr("bentos.keyring.read_active", forbidden)
        monkeypatch.setattr("asyncio.to_thread", forbidden)
        if known:
            assert await name_of(gate, made.text, client=CLIENT) == f"key:{made.key.id}"
        else:
            await refuses(gate, WRONG_KEY)
        monkeypatch.undo()

    using(home, use, keys_refresh_seconds=30)
