"""The platform database: one writer wins, and the audit log can not be rewritten unseen."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from resources.platform_db import (
    GENESIS,
    AuditRow,
    BrokenAuditLog,
    ConflictingChange,
    PlatformDatabase,
    StateRow,
)

SLOT = SlotAssignment(model_version="a" * 64, bento_tag="classifier:a", weight=1.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PlatformDatabase]:
    opened = PlatformDatabase(tmp_path)
    yield opened
    opened.close()


def state(revision: int, reason: str = "why") -> RolloutState:
    return RolloutState(revision=revision, slots={"champion": SLOT}, reason=reason,
                        changed_at=datetime(2026, 11, 23, tzinfo=UTC))


def change(database: PlatformDatabase, revision: int) -> None:
    database.change_state(state(revision, f"reason {revision}"), actor="ann", action="promote",
                          details={"nested": {"n": revision}})


def rewrite(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "platform.db")
    with connection:
        connection.execute(statement)
    connection.close()


def test_a_new_database_is_at_revision_zero(database: PlatformDatabase) -> None:
    assert database.read_state() == RolloutState(revision=0)
    assert database.read_audit() == []


def test_state_comes_back_and_each_change_is_audited(database: PlatformDatabase) -> None:
    for revision in (1, 2, 3):
        change(database, revision)
    assert database.read_state() == state(3, "reason 3")
    audit = database.read_audit()
    assert [entry.reason for entry in audit] == ["reason 1", "reason 2", "reason 3"]
    assert audit[0].details["nested"] == {"n": 1}
    assert audit[0].details["revision"] == 1
    assert audit[0].details["state"] == state(1, "reason 1").model_dump(mode="json")
    assert {(entry.actor, entry.action) for entry in audit} == {("ann", "promote")}
    assert GENESIS not in {entry.sha256 for entry in audit}


def test_opening_again_migrates_nothing_and_loses_nothing(tmp_path: Path) -> None:
    for revision in (1, 2):
        database = PlatformDatabase(tmp_path)
        change(database, revision)
        database.close()
    database = PlatformDatabase(tmp_path)
    assert len(database.read_audit()) == 2
    database.close()


def test_migrations_make_the_tables_of_the_models(database: PlatformDatabase) -> None:
    from sqlalchemy import inspect

    for table in (StateRow.__table__, AuditRow.__table__):
        made = {each["name"] for each in inspect(database.engine).get_columns(table.name)}
        assert made == {column.name for column in table.columns}


@pytest.mark.parametrize("revision", [1, 3, 4])
def test_a_stale_change_is_refused_and_writes_nothing(
    database: PlatformDatabase, revision: int
) -> None:
    change(database, 1)
    with pytest.raises(ConflictingChange, match="is at revision 1, not"):
        change(database, revision)
    assert database.read_state().revision == len(database.read_audit()) == 1


def test_of_many_changes_at_once_one_wins(tmp_path: Path) -> None:
    opened = [PlatformDatabase(tmp_path) for _ in range(6)]
    change(opened[0], 1)
    barrier, refused = threading.Barrier(len(opened)), []

    def race(database: PlatformDatabase) -> None:
        barrier.wait()
        try:
            change(database, 2)
        except ConflictingChange as error:
            refused.append(error)

    threads = [threading.Thread(target=race, args=(each,)) for each in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == len(opened) - 1
    assert [entry.details["revision"] for entry in opened[0].read_audit()] == [1, 2]
    for each in opened:
        each.close()


@pytest.mark.parametrize("statement", [
    "UPDATE audit_log SET actor = 'bob' WHERE id = 2",
    "UPDATE audit_log SET reason = 'reason 2 ' WHERE id = 2",
    "UPDATE audit_log SET action = 'hold' WHERE id = 1",
    "UPDATE audit_log SET at = '2026-01-01 00:00:00' WHERE id = 3",
    "UPDATE audit_log SET details = '{\"revision\": 2}' WHERE id = 2",
    "UPDATE audit_log SET previous = sha256 WHERE id = 2",
    "DELETE FROM audit_log WHERE id = 1",
    "DELETE FROM audit_log WHERE id = 2",
    "UPDATE audit_log SET id = CASE id WHEN 2 THEN 9 ELSE id END",
    "INSERT INTO audit_log (at, actor, action, reason, details, previous, sha256) "
    "SELECT at, actor, action, reason, details, sha256, hex(randomblob(32)) "
    "FROM audit_log WHERE id = 3",
])
def test_a_rewritten_audit_log_is_found(tmp_path: Path, statement: str) -> None:
    database = PlatformDatabase(tmp_path)
    for revision in (1, 2, 3):
        change(database, revision)
    rewrite(tmp_path, statement)
    with pytest.raises(BrokenAuditLog, match=r"audit entry \d in .*restore the database"):
        database.read_audit()
    database.close()


def test_the_url_of_another_database_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    database = PlatformDatabase(tmp_path / "home")
    change(database, 1)
    database.close()
    assert (tmp_path / "elsewhere.db").is_file()
    assert not (tmp_path / "home" / "platform.db").exists()
