"""Changes by the key that they were asked for under: made once, also after a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import DateTime, String, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from mlops_assets.contracts.errors import PlatformError
from resources.platform_db import Base, PlatformDatabase

KEPT: Final = timedelta(days=30)


class KeyReused(PlatformError):
    """The key came with another change before."""


class OutcomeUnknown(PlatformError):
    """A change was asked for under this key, and nobody knows whether it was made."""


class ChangeRow(Base):
    """One change; ``answer`` is None until it is known to be made."""

    __tablename__ = "changes"
    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    asked: Mapped[str] = mapped_column(String(64))
    answer: Mapped[str | None] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def once(
    database: PlatformDatabase, key: str, asked: str, make: Callable[[], str],
    *, doubtful: tuple[type[Exception], ...] = (),
) -> tuple[str, bool]:
    """What a change gave, and whether it had been made before.

    ``asked`` is a SHA-256 of the change. A change that is refused leaves nothing behind. One that
    ends with another error than a ``PlatformError``, or with one of ``doubtful``, may have been
    made: its key is spent.

    Raises:
        KeyReused: the key came with another change.
        OutcomeUnknown: the change goes on elsewhere, or ended before its outcome was known.
    """
    if (before := _begin(database, key, asked)) is not None:
        return before, True
    try:
        answer = make()
    except PlatformError as error:
        if not isinstance(error, doubtful):
            with Session(database.engine) as session, session.begin():
                session.execute(delete(ChangeRow).where(ChangeRow.key == key))
        raise
    with Session(database.engine) as session, session.begin():
        row = session.get_one(ChangeRow, key)
        row.answer = answer
    return answer, False


def _begin(database: PlatformDatabase, key: str, asked: str) -> str | None:
    """Take the key, or the answer that it has."""
    now = datetime.now(UTC)
    try:
        with Session(database.engine) as session, session.begin():
            session.execute(delete(ChangeRow).where(ChangeRow.at < now - KEPT))
            session.add(ChangeRow(key=key, asked=asked, answer=None, at=now))
    except IntegrityError:
        with Session(database.engine) as session:
            row = session.get(ChangeRow, key)
        if row is not None and row.asked != asked:
            raise KeyReused("this key came with another change before") from None
        if row is None or row.answer is None:
            raise OutcomeUnknown(
                "this was asked for before and its outcome is not known: look whether it was "
                "made, then ask under a new key") from None
        return row.answer
    return None
