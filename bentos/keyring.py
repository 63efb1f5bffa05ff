"""The API keys in force, in memory: asking costs no disk, no database and no other thread."""

from __future__ import annotations

import asyncio
import hmac
import math
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from bentos.caller import Caller, Holder, known_scopes
from bentos.notices import Notice
from bentos.problems import unavailable
from mlops_assets.contracts.errors import PlatformError
from resources.api_keys import ApiKey, parse_rate, read_active, split_key

START_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    holder: Holder
    expires: float


class KeyRing:
    """Reads the keys every ``refresh_seconds`` in a thread of its own.

    When the database is away, the keys read last stay valid for ``stale_seconds``.
    """

    def __init__(
        self,
        database_url: str,
        *,
        refresh_seconds: float,
        stale_seconds: float,
        default_rate: RateLimitItem,
    ) -> None:
        # A connection a look: a database file that was put back from a backup is seen.
        self._engine = create_engine(database_url, poolclass=NullPool)
        self._refresh_seconds: Final = refresh_seconds
        self._stale_seconds: Final = stale_seconds
        self._default_rate: Final = default_rate
        self._keys: dict[bytes, _Entry] = {}
        self._read_at = -math.inf
        nobody = Holder(Caller("nobody", frozenset()), default_rate)
        self._nobody: Final = _Entry(secrets.token_bytes(32), nobody, -math.inf)
        self._away = Notice("The API keys can not be read: %s")
        self._tried = threading.Event()
        self._stopping = threading.Event()
        # A daemon: a database that never answers must not hold up the end of the process.
        self._thread = threading.Thread(target=self._follow, name="api-keys", daemon=True)

    async def start(self) -> None:
        """Begin to follow the database; returns after the first look, or ``START_SECONDS``."""
        self._thread.start()
        await asyncio.to_thread(self._tried.wait, START_SECONDS)

    async def close(self) -> None:
        """Stop following; a look that hangs is left behind."""
        self._stopping.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, START_SECONDS)

    def find(self, text: bytes) -> Holder | None:
        """Who holds the key ``text``; None for one that is wrong, unknown, revoked or expired.

        An unknown id is compared as well, with a digest that nothing has.

        Raises:
            Problem: 503 the keys were never read, or too long ago.
        """
        if time.monotonic() - self._read_at > self._stale_seconds:
            raise unavailable("keys-unavailable", "the API keys can not be read; try again")
        key_id, digest = split_key(text)
        entry = self._keys.get(key_id, self._nobody)
        same = hmac.compare_digest(digest, entry.digest)
        return entry.holder if same and time.time() < entry.expires else None

    def _follow(self) -> None:
        while True:
            self._read()
            self._tried.set()
            if self._stopping.wait(self._refresh_seconds):
                return

    def _read(self) -> None:
        began = time.monotonic()
        try:
            keys = {key.id.encode(): self._entry(key) for key in read_active(self._engine)}
        except (SQLAlchemyError, PlatformError, OSError, ValueError) as error:
            self._away.warn(error)
            return
        self._keys = keys
        self._read_at = began

    def _entry(self, key: ApiKey) -> _Entry:
        caller = Caller(f"key:{key.id}", known_scopes(key.scopes))
        rate = self._default_rate if key.rate is None else parse_rate(key.rate)
        expires = math.inf if key.expires_at is None else key.expires_at.timestamp()
        return _Entry(bytes.fromhex(key.sha256), Holder(caller, rate), expires)
