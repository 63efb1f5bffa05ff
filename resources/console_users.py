"""People who may sign in to the console, with their roles; passwords are kept as argon2id hashes.

Parameters of the hash are those of RFC 9106 for machines with little memory, as argon2-cffi sets
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from sqlalchemy import DateTime, String, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from mlops_assets.contracts.errors import PlatformError
from resources.platform_db import Base, PlatformDatabase, append_audit, in_utc

Role = Literal["viewer", "operator", "admin"]
# Each may do what those before it may.
ROLES: Final[tuple[Role, ...]] = get_args(Role)
MIN_PASSWORD: Final = 10
MAX_NAME: Final = 100


class UserRefused(PlatformError):
    """A name, a role or a password that nobody can have."""


class UserRow(Base):
    """One person."""

    __tablename__ = "console_users"
    name: Mapped[str] = mapped_column(String(MAX_NAME), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    password: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class User:
    """One person as others see them."""

    name: str
    role: Role
    created_at: datetime


class ConsoleUsers:
    """The people in one platform database."""

    def __init__(self, database: PlatformDatabase) -> None:
        from argon2 import PasswordHasher

        self._database = database
        self._hasher = PasswordHasher()
        # Verified where there is no such person, so that time does not tell who exists.
        self._nobody = self._hasher.hash("nobody's password")

    def create(self, name: str, role: Role, password: str, *, actor: str, reason: str) -> User:
        """Let a person in, and audit it in the same transaction.

        Raises:
            UserRefused: the name is taken or not printable, or the password too short.
            ConflictingChange: somebody else changed the platform meanwhile.
        """
        if not name.strip() or not name.isprintable() or len(name) > MAX_NAME or "(" in name:
            raise UserRefused(f"a name is 1 to {MAX_NAME} printable characters without (")
        if len(password) < MIN_PASSWORD:
            raise UserRefused(f"a password has at least {MIN_PASSWORD} characters")
        row = UserRow(name=name, role=role, password=self._hasher.hash(password),
                      created_at=datetime.now(UTC))
        user = _user(row)
        with Session(self._database.engine) as session, session.begin():
            session.add(row)
            try:
                session.flush()
            except IntegrityError as error:
                raise UserRefused(f"there is a user `{name}` already") from error
            append_audit(session, actor=actor, action="users create", reason=reason,
                         details={"name": name, "role": role})
        return user

    def remove(self, name: str, *, actor: str, reason: str) -> None:
        """Let a person in no more, and audit it; sessions of theirs end within a minute.

        Raises:
            UserRefused: there is no such person.
            ConflictingChange: somebody else changed the platform meanwhile.
        """
        gone = delete(UserRow).where(UserRow.name == name).returning(UserRow.name)
        with Session(self._database.engine) as session, session.begin():
            if session.execute(gone).first() is None:
                raise UserRefused(f"there is no user `{name[:40]}`; see `mlops users list`")
            append_audit(session, actor=actor, action="users remove", reason=reason,
                         details={"name": name})

    def read_all(self) -> list[User]:
        """Everybody, by name."""
        with Session(self._database.engine) as session:
            return [_user(row) for row in session.scalars(select(UserRow).order_by(UserRow.name))]

    def count(self) -> int:
        """How many there are."""
        with Session(self._database.engine) as session:
            return int(session.scalar(select(func.count()).select_from(UserRow)) or 0)

    def find(self, name: str) -> User | None:
        """One person."""
        with Session(self._database.engine) as session:
            row = session.get(UserRow, name)
            return None if row is None else _user(row)

    def sign_in(self, name: str, password: str) -> User | None:
        """The person with this name and password, or None."""
        from argon2.exceptions import VerificationError

        with Session(self._database.engine) as session:
            row = session.get(UserRow, name)
            try:
                self._hasher.verify(self._nobody if row is None else row.password, password)
            except VerificationError:
                return None
            return None if row is None else _user(row)


def _user(row: UserRow) -> User:
    role = next(each for each in ROLES if each == row.role)
    return User(row.name, role, in_utc(row.created_at))
