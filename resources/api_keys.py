"""API keys of the service: made, listed and revoked; every change is in the audit log.

A key reads ``mlk_<id>_<secret>``. Of the secret only its SHA-256 is kept. A slow, salted hash is
for passwords, which people choose and others can guess; a secret here is 256 random bits, which no
speed of guessing finds and which no two keys share, while a slow hash would be paid by every call.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from limits import RateLimitItem, parse_many
from sqlalchemy import JSON, DateTime, Engine, String, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from mlops_assets.contracts.errors import PlatformError
from resources.platform_db import Base, PlatformDatabase, append_audit, in_utc

KeyScope = Literal["predict", "explain", "feedback", "admin"]
SCOPES: Final[tuple[KeyScope, ...]] = get_args(KeyScope)
PREFIX: Final = "mlk_"
SECRET_BYTES: Final = 32
MAX_NAME: Final = 200
MAX_RATE: Final = 50


class KeyRefused(PlatformError):
    """A key can not be made or revoked as asked; nothing has changed."""


class KeyRow(Base):
    """One key; ``sha256`` is of its secret, in hex."""

    __tablename__ = "api_keys"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME))
    sha256: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str]] = mapped_column(JSON)
    rate: Mapped[str | None] = mapped_column(String(MAX_RATE))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key without its secret. ``rate`` is such as ``600/minute``; None: the service's."""

    id: str
    name: str
    scopes: tuple[str, ...]
    rate: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    sha256: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its text, which is kept nowhere and can not be shown again."""

    key: ApiKey
    text: str = field(repr=False)


def split_key(text: bytes) -> tuple[bytes, bytes]:
    """Id of a key's text, and the SHA-256 of its secret; any bytes at all have both."""
    key_id, _, secret = text[len(PREFIX) :].partition(b"_")
    return key_id, hashlib.sha256(secret).digest()


def parse_rate(text: str) -> RateLimitItem:
    """Requests in a time, such as ``600/minute`` or ``5 per 10 seconds``.

    Raises:
        KeyRefused: it is none, several, allows nothing, or is longer than ``MAX_RATE``.
    """
    try:
        rates = parse_many(text)
    except ValueError as error:
        raise KeyRefused(f"`{text[:MAX_RATE]}` is no rate; one is 600/minute") from error
    if len(rates) != 1 or rates[0].amount < 1 or len(text) > MAX_RATE:
        raise KeyRefused(f"`{text[:MAX_RATE]}` is no usable rate; one is 600/minute")
    return rates[0]


def read_active(engine: Engine) -> list[ApiKey]:
    """Keys that are neither revoked nor expired; the schema is not migrated.

    Raises:
        SQLAlchemyError: the database is not there, or has no such table.
    """
    lives = or_(KeyRow.expires_at.is_(None), KeyRow.expires_at > datetime.now(UTC))
    with Session(engine) as session:
        rows = session.scalars(select(KeyRow).where(KeyRow.revoked_at.is_(None), lives))
        return [_key(row) for row in rows]


class ApiKeys:
    """The keys in one platform database."""

    def __init__(self, database: PlatformDatabase) -> None:
        self._database = database

    def create(
        self,
        *,
        name: str,
        scopes: Collection[str],
        actor: str,
        reason: str,
        expires_at: datetime | None = None,
        rate: str | None = None,
    ) -> NewKey:
        """Make a key, and audit it in the same transaction.

        Raises:
            KeyRefused: a name, a scope, an expiry or a rate that no key can have.
            ConflictingChange: somebody else changed the platform meanwhile.
        """
        _check(name, scopes, expires_at, rate)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(SECRET_BYTES)
        text = f"{PREFIX}{key_id}_{secret}"
        ordered = [scope for scope in SCOPES if scope in scopes]
        row = KeyRow(
            id=key_id, name=name, sha256=split_key(text.encode())[1].hex(), scopes=ordered,
            rate=rate, created_at=datetime.now(UTC), expires_at=expires_at, revoked_at=None,
        )
        key = _key(row)
        with Session(self._database.engine) as session, session.begin():
            session.add(row)
            session.flush()
            append_audit(session, actor=actor, action="keys create", reason=reason,
                         details=_audited(key))
        return NewKey(key, text)

    def revoke(self, key_id: str, *, actor: str, reason: str) -> ApiKey:
        """End a key, and audit it in the same transaction.

        Raises:
            KeyRefused: there is no such key, or it is revoked already.
            ConflictingChange: somebody else changed the platform meanwhile.
        """
        change = update(KeyRow).where(KeyRow.id == key_id, KeyRow.revoked_at.is_(None))
        change = change.values(revoked_at=datetime.now(UTC))
        with Session(self._database.engine) as session, session.begin():
            if session.execute(change.returning(KeyRow.id)).first() is None:
                raise KeyRefused(f"no key `{key_id[:40]}` is in use; see `mlops keys list`")
            key = _key(session.get_one(KeyRow, key_id))
            append_audit(session, actor=actor, action="keys revoke", reason=reason,
                         details=_audited(key))
        return key

    def read_all(self) -> list[ApiKey]:
        """Every key, oldest first; revoked and expired ones too."""
        with Session(self._database.engine) as session:
            rows = session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))
            return [_key(row) for row in rows]


def _check(
    name: str, scopes: Collection[str], expires_at: datetime | None, rate: str | None
) -> None:
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
        raise KeyRefused(f"a key's name is 1 to {MAX_NAME} printable characters")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise KeyRefused(f"a key needs scopes out of {', '.join(SCOPES)}")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise KeyRefused("a key's expiry lies in the future")
    if rate is not None:
        parse_rate(rate)


def _key(row: KeyRow) -> ApiKey:
    return ApiKey(
        id=row.id, name=row.name, scopes=tuple(row.scopes), rate=row.rate, sha256=row.sha256,
        created_at=in_utc(row.created_at),
        expires_at=None if row.expires_at is None else in_utc(row.expires_at),
        revoked_at=None if row.revoked_at is None else in_utc(row.revoked_at),
    )


def _audited(key: ApiKey) -> dict[str, Any]:
    expires = None if key.expires_at is None else key.expires_at.isoformat()
    return {"key": key.id, "name": key.name, "scopes": list(key.scopes), "rate": key.rate,
            "expires_at": expires}
