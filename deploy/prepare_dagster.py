"""Make or migrate Dagster's databases, and cancel the runs that ended with an earlier platform.

Runs as a process of its own, before the webserver and the daemon meet the databases.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from deploy.layout import Layout
from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import sha256_json
from resources.data_services import DAGSTER_DATABASE, database_url

if TYPE_CHECKING:
    from dagster import DagsterInstance

LOST: Final = ("STARTING", "STARTED", "CANCELING")


class PrepareError(PlatformError):
    """Dagster's databases can not be used."""


def count_lost_runs(layout: Layout) -> int:
    """How many runs Dagster takes for running, though no process of the platform does.

    They would keep their places in the queue and in pools. Asked of the database itself, as
    importing Dagster takes seconds.
    """
    if url := database_url(DAGSTER_DATABASE):
        return _count_on_server(url)
    path = layout.dagster / "storage" / "history" / "runs.db"
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            row = database.execute(
                "select count(*) from runs where status in (?, ?, ?)", LOST
            ).fetchone()
    except sqlite3.OperationalError:
        # A database of another schema: the migration that follows says what is wrong with it.
        return 0
    return int(row[0])


def _which_database() -> str:
    """A mark of the server's database, as one may follow another; nothing for SQLite."""
    from sqlalchemy.engine import make_url

    url = database_url(DAGSTER_DATABASE)
    return "" if url is None else "-" + sha256_json(
        [(at := make_url(url)).host, at.port, at.database])[:8]


def _count_on_server(url: str) -> int:
    import sqlalchemy
    from sqlalchemy.exc import OperationalError, ProgrammingError

    engine = sqlalchemy.create_engine(url)
    runs = sqlalchemy.table("runs", sqlalchemy.column("status"))
    lost = sqlalchemy.select(sqlalchemy.func.count()).select_from(runs).where(
        runs.c.status.in_(LOST))
    try:
        with engine.connect() as connection:
            return int(connection.execute(lost).scalar_one())
    except ProgrammingError:
        # No such table: a fresh database.
        return 0
    except OperationalError as error:
        said = " ".join(str(error.orig).split())
        raise PrepareError(f"{DAGSTER_DATABASE}: {said}") from None
    finally:
        engine.dispose()


def prepare_dagster(
    layout: Layout, environment: Mapping[str, str], log: Callable[[str], None]
) -> None:
    """Do what ``main`` does, where it is due: a new home or version, or lost runs.

    Raises:
        PrepareError: the databases are damaged, locked or not writable.
    """
    stamp = layout.dagster / f".migrated-{version('dagster')}{_which_database()}"
    lost = count_lost_runs(layout)
    if stamp.is_file() and not lost:
        return
    if lost:
        log(f"marking {lost} runs as canceled that ended with an earlier platform")
    done = subprocess.run(
        [sys.executable, "-m", "deploy.prepare_dagster"], env=dict(environment), check=False,
        capture_output=True, text=True, cwd=PROJECT_ROOT,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise PrepareError(f"the databases in {layout.dagster} can not be used: {said}")
    stamp.touch()


def cancel_lost_runs(instance: DagsterInstance) -> int:
    """End the runs that Dagster takes for running, when no process can be running them."""
    import dagster as dg

    statuses = [dg.DagsterRunStatus(status) for status in LOST]
    lost = instance.get_runs(dg.RunsFilter(statuses=statuses))
    for run in lost:
        instance.report_run_canceled(run, "The platform was stopped while this run was active.")
    return len(lost)


def main() -> None:
    """Prepare the databases of ``DAGSTER_HOME``."""
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        instance.upgrade()
        cancel_lost_runs(instance)


if __name__ == "__main__":
    main()
