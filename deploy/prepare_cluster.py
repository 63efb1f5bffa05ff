"""Before anything else on a cluster: wait for the databases, make or migrate every schema.

``python -m deploy.prepare_cluster`` may run as often as it likes and in several places at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from deploy.mlflow_server import upgrade
from mlops_assets.contracts.errors import PlatformError
from resources.data_services import (
    ARTIFACTS,
    DAGSTER_DATABASE,
    MLFLOW_DATABASE,
    PLATFORM_DATABASE,
    database_url,
    migrating,
)
from resources.remote_store import open_remote

POLL_SECONDS: Final = 1.0
FOLDERS: Final = (
    "data", "scoring", "store", "journal", "requests", "bentoml", "serving", "dagster/logs")


class NotPrepared(PlatformError):
    """A data service is not named, does not answer, or has a schema that can not be used."""


def wait_for_database(variable: str, seconds: float) -> str:
    """The address that a variable names, once the database there answers.

    Raises:
        NotPrepared: the variable is not set, or nothing answers in time.
    """
    import sqlalchemy
    from sqlalchemy.exc import OperationalError

    url = database_url(variable)
    if url is None:
        raise NotPrepared(f"{variable} is not set; a cluster keeps its state in PostgreSQL")
    engine, until = sqlalchemy.create_engine(url), time.monotonic() + seconds
    try:
        while True:
            try:
                engine.connect().close()
                return url
            except OperationalError as error:
                said = " ".join(str(error.orig).split())
                if time.monotonic() > until:
                    raise NotPrepared(f"{variable}: {said}") from None
                _tell(f"{variable}: {said}; trying again")
                time.sleep(POLL_SECONDS)
    finally:
        engine.dispose()


def prepare_dagster(url: str) -> None:
    """Make or migrate the tables of the instance in ``DAGSTER_HOME``."""
    import dagster as dg

    with migrating(url), dg.DagsterInstance.get() as instance:
        instance.upgrade()


def prepare_platform(home: Path) -> None:
    """Make or migrate the platform's tables and the folders that several programs share."""
    from resources.platform_db import PlatformDatabase

    for folder in FOLDERS:
        (home / folder).mkdir(parents=True, exist_ok=True)
    with closing(PlatformDatabase(home)) as database:
        database.read_state()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    """Prepare everything, or end with one line that says what is in the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wait", type=float, default=300.0, metavar="SECONDS",
                        help="for each database to answer")
    options = parser.parse_args()
    home = Path(os.environ.get("PLATFORM_HOME", "/platform"))
    try:
        dagster, mlflow, _ = (
            wait_for_database(variable, options.wait)
            for variable in (DAGSTER_DATABASE, MLFLOW_DATABASE, PLATFORM_DATABASE))
        for name, prepare in {
            "Dagster": partial(prepare_dagster, dagster), "MLflow": partial(upgrade, mlflow),
            "platform": partial(prepare_platform, home),
        }.items():
            prepare()
            _tell(f"{name}: ready")
        remote = open_remote()
        if remote is None:
            _tell(f"{ARTIFACTS} is not set: artifacts are on the shared volume alone")
        else:
            remote.claim(home / "store")
            _tell(f"artifacts: {remote.url}")
    except PlatformError as error:
        sys.exit(f"prepare_cluster: {error}")


if __name__ == "__main__":
    main()
