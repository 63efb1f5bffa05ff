"""API keys in the platform database, and the commands that change them."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import inspect, text

from mlops_assets.cli import main
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import RolloutState
from resources import api_keys
from resources.api_keys import (
    SCOPES,
    ApiKeys,
    KeyRefused,
    KeyRow,
    NewKey,
    parse_rate,
    read_active,
    split_key,
)
from resources.platform_db import ConflictingChange, PlatformDatabase

TEXT = re.compile(r"mlk_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def database(home: Path) -> Iterator[PlatformDatabase]:
    opened = PlatformDatabase(home)
    yield opened
    opened.close()


def make(database: PlatformDatabase, **options: Any) -> NewKey:
    given = {"name": "shop", "scopes": ["predict"], "actor": "ann", "reason": "a test", **options}
    return ApiKeys(database).create(**given)


def test_key_comes_back_without_its_secret(database: PlatformDatabase) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    made = make(database, scopes=["feedback", "predict"], expires_at=ends, rate="5/minute")
    assert TEXT.fullmatch(made.text)
    (key,) = ApiKeys(database).read_all()
    assert key == made.key
    assert (key.name, key.scopes, key.rate) == ("shop", ("predict", "feedback"), "5/minute")
    assert (key.expires_at, key.revoked_at) == (ends, None)
    secret = made.text.split("_", 2)[2]
    assert key.sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert split_key(made.text.encode()) == (key.id.encode(), bytes.fromhex(key.sha256))


def test_secrets_are_long_and_never_the_same(database: PlatformDatabase) -> None:
    texts = {make(database).text for _ in range(20)}
    assert len(texts) == len({each.split("_", 2)[2] for each in texts}) == 20


@pytest.mark.parametrize("wrong", [b"", b"mlk", b"mlk_", b"mlk__", b"\xff" * 9, b"mlk_a_b_c"])
def test_any_bytes_have_an_id_and_a_digest(wrong: bytes) -> None:
    assert len(split_key(wrong)[1]) == 32


def test_migration_makes_the_table_of_the_model(database: PlatformDatabase) -> None:
    made = {each["name"] for each in inspect(database.engine).get_columns(KeyRow.__table__.name)}
    assert made == {column.name for column in KeyRow.__table__.columns}


def test_migration_goes_back_and_forth(database: PlatformDatabase) -> None:
    from alembic import command
    from alembic.config import Config

    from resources.platform_db import MIGRATIONS

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    for revision in ("001", "head"):
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            step = command.downgrade if revision == "001" else command.upgrade
            step(config, revision)
        tables = inspect(database.engine).get_table_names()
        assert ("api_keys" in tables) == (revision == "head")


@pytest.mark.parametrize("options", [
    {"name": ""}, {"name": " "}, {"name": "a\nb"}, {"name": "a" * 201},
    {"scopes": []}, {"scopes": ["predict", "root"]},
    {"expires_at": datetime.now(UTC)},
    {"rate": "fast"}, {"rate": "0/minute"}, {"rate": "5/minute;6/hour"}, {"rate": ""},
])
def test_key_that_can_not_be_is_refused(
    database: PlatformDatabase, options: dict[str, Any]
) -> None:
    with pytest.raises(KeyRefused):
        make(database, **options)
    assert ApiKeys(database).read_all() == []
    assert database.read_audit() == []


def test_every_change_is_audited_without_the_secret(database: PlatformDatabase) -> None:
    made = make(database, rate="5/minute")
    ApiKeys(database).revoke(made.key.id, actor="bob", reason="lost")
    created, revoked = database.read_audit()
    assert (created.actor, created.action, created.reason) == ("ann", "keys create", "a test")
    assert created.details == {
        "key": made.key.id, "name": "shop", "scopes": ["predict"], "rate": "5/minute",
        "expires_at": None,
    }
    assert (revoked.actor, revoked.action, revoked.reason) == ("bob", "keys revoke", "lost")
    assert revoked.details["key"] == made.key.id
    told = json.dumps([created.details, revoked.details])
    assert made.text.split("_", 2)[2] not in told
    assert made.key.sha256 not in told


def test_change_without_its_audit_entry_is_not_made(
    database: PlatformDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(database)

    def fails(*_: object, **__: object) -> None:
        raise ConflictingChange("no entry")

    monkeypatch.setattr(api_keys, "append_audit", fails)
    with pytest.raises(ConflictingChange):
        make(database)
    with pytest.raises(ConflictingChange):
        ApiKeys(database).revoke(made.key.id, actor="ann", reason="lost")
    assert ApiKeys(database).read_all() == [made.key]
    assert len(database.read_audit()) == 1


def test_revoked_and_unknown_keys_can_not_be_revoked(database: PlatformDatabase) -> None:
    made, keys = make(database), ApiKeys(database)
    revoked = keys.revoke(made.key.id, actor="ann", reason="lost")
    assert revoked.revoked_at is not None
    for key_id in (made.key.id, "nobody", made.text):
        with pytest.raises(KeyRefused, match="is in use") as caught:
            keys.revoke(key_id, actor="ann", reason="lost")
        assert made.text not in str(caught.value)
    assert keys.read_all() == [revoked]
    assert len(database.read_audit()) == 2


def test_active_keys_are_neither_revoked_nor_expired(database: PlatformDatabase) -> None:
    lives, lost = make(database), make(database)
    soon = make(database, expires_at=datetime.now(UTC) + timedelta(days=1))
    over = make(database, expires_at=datetime.now(UTC) + timedelta(days=1))
    ApiKeys(database).revoke(lost.key.id, actor="ann", reason="lost")
    with database.engine.begin() as connection:
        connection.execute(
            text("UPDATE api_keys SET expires_at = '2020-01-01 00:00:00' WHERE id = :id"),
            {"id": over.key.id},
        )
    found = {key.id for key in read_active(database.engine)}
    assert found == {lives.key.id, soon.key.id}


def test_keys_and_rollouts_at_once_leave_one_chain(home: Path) -> None:
    opened = [PlatformDatabase(home) for _ in range(4)]
    barrier, failed = threading.Barrier(len(opened)), []

    def work(number: int, database: PlatformDatabase) -> None:
        barrier.wait()
        for step in range(5):
            try:
                if number:
                    make(database)
                else:
                    database.change_state(RolloutState(revision=step + 1), actor="ann",
                                          action="promote", details={})
            except PlatformError as error:
                failed.append(error)

    threads = [
        threading.Thread(target=work, args=(number, each)) for number, each in enumerate(opened)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened[0].read_audit()) == 20 - len(failed)
    assert len(ApiKeys(opened[0]).read_all()) + opened[0].read_state().revision == 20 - len(failed)
    assert not failed
    for each in opened:
        each.close()


def test_two_entries_never_follow_the_same_one(
    database: PlatformDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What another database lets happen: the last entry is read, then somebody else adds one.
    from sqlalchemy.orm import Session

    from resources.platform_db import AuditRow, append_audit

    make(database)
    with Session(database.engine) as session:
        before = session.get_one(AuditRow, 1)
        session.expunge(before)
    make(database)
    with Session(database.engine) as session:
        class Stale:
            def first(self) -> AuditRow:
                return before

        monkeypatch.setattr(session, "scalars", lambda _: Stale())
        with pytest.raises(ConflictingChange, match="repeat the change"):
            append_audit(session, actor="eve", action="x", reason="", details={})
    assert len(database.read_audit()) == 2


@pytest.mark.parametrize(("rate", "amount", "seconds"), [
    ("600/minute", 600, 60), ("5 per 10 seconds", 5, 10), ("1/day", 1, 86400),
])
def test_rates_are_read(rate: str, amount: int, seconds: int) -> None:
    found = parse_rate(rate)
    assert (found.amount, found.get_expiry()) == (amount, seconds)


def mlops(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments])


def created(*arguments: str) -> dict[str, Any]:
    done = mlops("create", "--name", "shop", "--json", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_create_prints_the_key_once(home: Path) -> None:
    done = mlops("create", "--name", "shop", "--scope", "predict")
    assert done.exit_code == 0
    assert TEXT.fullmatch(done.stdout.strip())
    assert "shown only now" in done.stderr
    for listed in (mlops("list"), mlops("list", "--json")):
        assert listed.exit_code == 0
        assert done.stdout.strip().split("_", 2)[2] not in listed.output


def test_create_list_and_revoke_in_json(home: Path) -> None:
    made = created("--scope", "feedback", "--scope", "predict", "--expires", "30d", "--rate",
                   "600/minute", "--reason", "the shop's own")
    assert TEXT.fullmatch(made["key"])
    assert (made["scopes"], made["rate"]) == (["predict", "feedback"], "600/minute")
    ends = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29.9) < ends <= timedelta(days=30)
    revoked = json.loads(mlops("revoke", made["id"], "--reason", "lost", "--json").stdout)
    assert revoked["state"] == "revoked"
    assert json.loads(mlops("list", "--json").stdout) == {"keys": [revoked]}
    database = PlatformDatabase(home)
    assert [(e.action, e.reason) for e in database.read_audit()] == [
        ("keys create", "the shop's own"), ("keys revoke", "lost")
    ]
    database.close()


def test_list_is_read_by_people(home: Path) -> None:
    assert "there are no keys" in mlops("list").stdout
    made = created("--scope", "admin")
    assert "is revoked" in mlops("revoke", made["id"], "--reason", "lost").stdout
    created("--scope", "predict")
    shown = mlops("list").stdout
    for part in (made["id"], "shop", "admin", "never", "revoked", "active"):
        assert part in shown


@pytest.mark.parametrize(("arguments", "told"), [
    (["create", "--name", "x"], "Missing option '--scope'"),
    (["create", "--scope", "predict"], "Missing option '--name'"),
    (["create", "--name", "x", "--scope", "root"], f"scopes out of {', '.join(SCOPES)}"),
    (["create", "--name", "x", "--scope", "predict", "--rate", "fast"], "`fast` is no rate"),
    (["create", "--name", "x", "--scope", "predict", "--expires", "soon"], "--expires is `soon`"),
    (["create", "--name", "x", "--scope", "predict", "--expires", "0d"], "such as 12h, 30d or 8w"),
    (["create", "--name", "x", "--scope", "predict", "--expires", "99999w"], "up to ten years"),
    (["revoke", "nobody", "--reason", "x"], "no key `nobody` is in use"),
    (["revoke", "nobody"], "Missing option '--reason'"),
    (["revoke", "nobody", "--reason", " "], "--reason must say why"),
])
def test_what_can_not_be_done_is_one_line(home: Path, arguments: list[str], told: str) -> None:
    done = mlops(*arguments)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["create", "list", "revoke"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    shown = mlops(command, "--help")
    assert shown.exit_code == 0
    assert f"mlops keys {command}" in shown.output.partition("Example:")[2]
