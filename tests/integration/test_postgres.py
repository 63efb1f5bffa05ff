"""The platform's own tables on a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.serving.states import advance, release
from resources.api_keys import ApiKeys
from resources.data_services import PLATFORM_DATABASE, database_url
from resources.platform_db import ConflictingChange, PlatformDatabase
from tests.postgres_server import Postgres, postgres_server

pytestmark = pytest.mark.slow
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def home(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Path:
    """A home whose platform database is a fresh one of the server."""
    name = request.node.name[:50].replace("[", "_").replace("]", "_")
    monkeypatch.setenv(PLATFORM_DATABASE, server.create(name))
    return tmp_path / "home"


def test_state_and_audit_survive_a_killed_server(home: Path, server: Postgres) -> None:
    with closing(PlatformDatabase(home)) as database:
        first = release(RolloutState(revision=0), "classifier:a", "a", now=NOW)
        database.change_state(first, actor="me", action="release", details={"n": 1})
        server.kill()
        with pytest.raises(OperationalError):
            database.read_state()
        server.start()
        # The same process goes on: its dead connections are replaced.
        assert database.read_state() == first
        second = release(first, "classifier:b", "b", now=NOW)
        database.change_state(second, actor="me", action="release", details={})
        assert [each.action for each in database.read_audit()] == ["release", "release"]
    assert not (home / "platform.db").exists()


def test_first_processes_may_meet(home: Path) -> None:
    def open_one(_: int) -> int:
        with closing(PlatformDatabase(home)) as database:
            return len(database.read_audit())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_one, range(8))) == [0] * 8


def test_writers_wait_for_each_other(home: Path) -> None:
    with closing(PlatformDatabase(home)) as database:
        database.note(actor="first", action="note", reason="", details={})

        def write(number: int) -> None:
            for _ in range(10):
                database.note(actor=f"a{number}", action="note", reason="", details={"n": number})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
        entries = database.read_audit()
    assert [each.id for each in entries] == list(range(1, 42))


def test_one_of_two_changes_of_a_revision_wins(home: Path) -> None:
    with closing(PlatformDatabase(home)) as database:
        first = release(RolloutState(revision=0), "classifier:a", "a", now=NOW)
        database.change_state(first, actor="me", action="release", details={})
        held = release(first, "classifier:b", "b", now=NOW)
        database.change_state(held, actor="me", action="release", details={})
        states = [advance(held, reason=f"by {number}", now=NOW) for number in range(6)]

        def change(state: RolloutState) -> bool:
            try:
                database.change_state(state, actor="me", action="advance", details={})
            except ConflictingChange:
                return False
            return True

        with ThreadPoolExecutor(6) as pool:
            won = list(pool.map(change, states))
        assert sum(won) == 1
        assert database.read_state() == states[won.index(True)]
        assert len(database.read_audit()) == 3


def test_keys_are_kept_there(home: Path) -> None:
    with closing(PlatformDatabase(home)) as database:
        keys = ApiKeys(database)
        keys.create(name="camera", scopes=["predict"], actor="me", reason="test")
        assert [each.name for each in keys.read_all()] == ["camera"]


def test_each_role_of_compose_reaches_its_own_database_alone(server: Postgres) -> None:
    names = ("dagster", "mlflow", "platform")
    server.run_file(PROJECT_ROOT / "deploy" / "compose" / "databases.sql", {
        f"MLOPS_{name.upper()}_PASSWORD": f"of-{name}" for name in names})

    def connect(role: str, password: str, database: str) -> None:
        psycopg2.connect(host="127.0.0.1", port=server.port, user=role, password=password,
                         dbname=database).close()

    for role in names:
        connect(role, f"of-{role}", role)
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            connect(role, "of-postgres", role)
        for other in {*names, "postgres", "template1"} - {role}:
            with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
                connect(role, f"of-{role}", other)


def test_the_address_may_name_the_driver_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg2://u@h/d"):
        monkeypatch.setenv(PLATFORM_DATABASE, given)
        assert database_url(PLATFORM_DATABASE) == "postgresql+psycopg2://u@h/d"
    monkeypatch.setenv(PLATFORM_DATABASE, "postgresql:secret")
    with pytest.raises(PlatformError, match="names no database") as caught:
        database_url(PLATFORM_DATABASE)
    assert "secret" not in str(caught.value)
