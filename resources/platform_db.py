"""The platform database: the state of serving and an audit log that can not be rewritten.

SQLite below the platform home, or any database that SQLAlchemy reads, by ``MLOPS_DATABASE_URL``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    JSON,
    DateTime,
    Engine,
    Integer,
    String,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.provenance.hashing import sha256_json
from resources.data_services import PLATFORM_DATABASE, database_url, migrating

GENESIS: Final = "0" * 64
MIGRATIONS: Final = Path(__file__).resolve().parent / "migrations"


class ConflictingChange(PlatformError):
    """Somebody else changed the state of serving meanwhile."""


class BrokenAuditLog(PlatformError):
    """An entry of the audit log is not what was written."""


class Base(DeclarativeBase):
    """Tables of the platform database."""


class StateRow(Base):
    """The state of serving; there is one row, with id 1."""

    __tablename__ = "rollout_state"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    revision: Mapped[int] = mapped_column(Integer)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)


class AuditRow(Base):
    """One change; ``sha256`` covers the row and the hash of the row before."""

    __tablename__ = "audit_log"
    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(2000))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)


class AuditHead(Base):
    """How many entries the audit log has and the hash of the last; there is one row, with id 1."""

    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    entries: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the audit log as people read it."""

    id: int
    at: str
    actor: str
    action: str
    reason: str
    details: dict[str, Any]
    sha256: str


def database_at(home: Path) -> str:
    """``MLOPS_DATABASE_URL``, else SQLite below ``home``."""
    return database_url(PLATFORM_DATABASE) or f"sqlite:///{home / 'platform.db'}"


def has_database(home: Path) -> bool:
    """Whether a platform database was made yet; a server's counts as one."""
    return bool(os.environ.get(PLATFORM_DATABASE)) or (home / "platform.db").is_file()


def in_utc(moment: datetime) -> datetime:
    """A moment as the database gives it back: SQLite drops the zone, which is always UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def append_audit(
    session: Session, *, actor: str, action: str, reason: str, details: dict[str, Any]
) -> None:
    """Add an entry to the chain, in the transaction of ``session``.

    Write the change itself first: that makes SQLite's other writers wait. In PostgreSQL they wait
    for the head's row; for the first entry of all there is none, and the second writer is refused.

    Raises:
        ConflictingChange: somebody else added an entry meanwhile; roll back.
    """
    session.get(AuditHead, 1, with_for_update=True)
    last = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).first()
    entry = AuditRow(
        id=1 if last is None else last.id + 1,
        at=datetime.now(UTC), actor=actor, action=action, reason=reason, details=details,
        previous=GENESIS if last is None else last.sha256,
    )
    entry.sha256 = _entry_hash(entry)
    session.add(entry)
    try:
        session.flush()
        session.merge(AuditHead(id=1, entries=entry.id, sha256=entry.sha256))
        session.flush()
    except IntegrityError as error:
        raise ConflictingChange(
            "somebody else changed the platform meanwhile; repeat the change"
        ) from error


def _entry_hash(row: AuditRow) -> str:
    return sha256_json({
        "at": in_utc(row.at).isoformat(), "actor": row.actor, "action": row.action,
        "reason": row.reason, "details": row.details, "previous": row.previous,
    })


def _head(session: Session) -> tuple[int, str]:
    """Entries of the audit log, and the hash of the last."""
    head = session.get(AuditHead, 1)
    return (0, GENESIS) if head is None else (head.entries, head.sha256)


def _swap(session: Session, present: int, body: dict[str, Any]) -> bool:
    """Write the next state where the revision still is ``present``; SQLite locks no SELECT."""
    if present == 0:
        try:
            session.execute(insert(StateRow).values(id=1, revision=1, state=body))
        except IntegrityError:
            return False
        return True
    change = update(StateRow).where(StateRow.id == 1, StateRow.revision == present)
    changed = change.values(revision=present + 1, state=body).returning(StateRow.id)
    return session.execute(changed).first() is not None


class PlatformDatabase:
    """Reads and writes the platform database below ``home``; its schema is migrated on opening."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.url = database_at(home)
        self.engine: Engine = create_engine(self.url, pool_pre_ping=True)
        self._migrate()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        # Processes that start together would all make the same tables.
        with migrating(self.url), self.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    def read_state(self) -> RolloutState:
        """The state of serving now; revision 0 with no slots before the first change."""
        with Session(self.engine) as session:
            row = session.get(StateRow, 1)
            return RolloutState(revision=0) if row is None else \
                RolloutState.model_validate(row.state)

    def change_state(
        self, state: RolloutState, *, actor: str, action: str, details: dict[str, Any]
    ) -> None:
        """Write the next state (its revision is one more than the present one) and audit it.

        Raises:
            ConflictingChange: the present revision is another one; nothing is written.
        """
        with Session(self.engine) as session, session.begin():
            row = session.get(StateRow, 1)
            present = 0 if row is None else row.revision
            body = state.model_dump(mode="json")
            if state.revision != present + 1 or not _swap(session, present, body):
                raise ConflictingChange(
                    f"the state of serving is at revision {present}, not "
                    f"{state.revision - 1}; read it again and repeat the change"
                )
            append_audit(
                session, actor=actor, action=action, reason=state.reason,
                details={**details, "revision": state.revision, "state": body},
            )

    def note(self, *, actor: str, action: str, reason: str, details: dict[str, Any]) -> None:
        """Audit what changes nothing in this database, such as a run that is launched.

        Raises:
            ConflictingChange: somebody else added an entry meanwhile; nothing is written.
        """
        with Session(self.engine) as session, session.begin():
            append_audit(session, actor=actor, action=action, reason=reason, details=details)

    def read_audit(self) -> list[AuditEntry]:
        """Every entry, oldest first; the chain of hashes is checked.

        Raises:
            BrokenAuditLog: an entry was changed, removed or put in.
        """
        entries: list[AuditEntry] = []
        previous = GENESIS
        with Session(self.engine) as session:
            before = _head(session)
            for row in session.scalars(select(AuditRow).order_by(AuditRow.id)):
                if row.previous != previous or _entry_hash(row) != row.sha256:
                    raise BrokenAuditLog(
                        f"audit entry {row.id} in {self.engine.url.render_as_string()} does not "
                        "match the chain of hashes; restore the database from a backup"
                    )
                previous = row.sha256
                entries.append(AuditEntry(row.id, in_utc(row.at).isoformat(), row.actor, row.action,
                                          row.reason, row.details, row.sha256))
        with Session(self.engine) as session:
            after = _head(session)
        # Another process may add entries meanwhile: the log ends between the two ends it had.
        hashes = [GENESIS, *(entry.sha256 for entry in entries)]
        if not before[0] <= len(entries) <= after[0] or hashes[before[0]] != before[1] or (
                len(entries) == after[0] and previous != after[1]):
            raise BrokenAuditLog(
                f"the audit log in {self.engine.url.render_as_string()} has {len(entries)} "
                f"entries, but had {before[0]}; restore the database from a backup")
        return entries
