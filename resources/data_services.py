"""Where the platform's data services are, from the environment; unset means embedded ones.

Addresses hold passwords, so they come from variables alone, never from a file of settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mlops_assets.contracts.errors import PlatformError

DAGSTER_DATABASE: Final = "MLOPS_DAGSTER_DATABASE_URL"
MLFLOW_DATABASE: Final = "MLOPS_MLFLOW_DATABASE_URL"
PLATFORM_DATABASE: Final = "MLOPS_DATABASE_URL"
ARTIFACTS: Final = "MLOPS_ARTIFACTS_URL"
REDIS: Final = "MLOPS_SERVICE_REDIS_URL"
MIGRATION_LOCK: Final = 0x6D6C6F7073  # "mlops"
DRIVER: Final = "postgresql+psycopg2://"
# A bare scheme names whatever driver a release of SQLAlchemy prefers; this one is installed.
BARE: Final = ("postgresql://", "postgres://")


class ServiceAddressError(PlatformError):
    """A variable holds no address that can be used; the message does not repeat it."""


def database_url(variable: str) -> str | None:
    """A database's address for SQLAlchemy, with the driver named, or None when it is not set.

    Raises:
        ServiceAddressError: it is no address.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    given = os.environ.get(variable, "")
    if not given:
        return None
    for scheme in BARE:
        if given.startswith(scheme):
            given = DRIVER + given[len(scheme):]
    try:
        make_url(given)
    except ArgumentError:
        # The error of SQLAlchemy shows the address, password and all.
        raise ServiceAddressError(
            f"{variable} names no database; write it as "
            "postgresql://user:password@host:5432/name") from None
    return given


@contextmanager
def migrating(url: str) -> Iterator[None]:
    """Within, no other process makes or migrates tables of the same PostgreSQL database."""
    from sqlalchemy import create_engine, func, select
    from sqlalchemy.engine import make_url

    if make_url(url).get_backend_name() != "postgresql":
        yield
        return
    engine = create_engine(url)
    try:
        # Held by this connection; the tables are made by others.
        with engine.connect() as connection, connection.begin():
            connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            yield
    finally:
        engine.dispose()


def artifacts_url(part: str = "") -> str | None:
    """``MLOPS_ARTIFACTS_URL``, or ``part`` below it; None when it is not set.

    Raises:
        ServiceAddressError: it is a path and not a URL.
    """
    given = os.environ.get(ARTIFACTS, "").rstrip("/")
    if not given:
        return None
    if "://" not in given:
        raise ServiceAddressError(f"{ARTIFACTS} is `{given}`, but must be a URL as s3://bucket/name")
    return f"{given}/{part}" if part else given
