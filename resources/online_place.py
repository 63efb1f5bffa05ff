"""Where features are read online: SQLite below the home, or Redis; and what was pushed there.

What was pushed is noted in the same place as the features: who loses one loses both, and the next
push brings everything.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from mlops_assets.provenance.hashing import canonical_json
from resources.data_services import REDIS, ServiceAddressError
from resources.durable import write_bytes

NOTE: Final = "mlops:features:pushed"
PORT: Final = 6379


@dataclass(slots=True)
class Pushed:
    """What an online store has: partition keys to versions, and files of hours."""

    definitions: str = ""
    applied: bool = False
    batches: dict[str, str] = field(default_factory=dict)
    hours: list[str] = field(default_factory=list)


class OnlinePlace(Protocol):
    """An online store."""

    @property
    def name(self) -> str:
        """What people call it."""

    def config(self) -> dict[str, Any]:
        """For Feast."""

    def read(self) -> Pushed:
        """What it has."""

    def write(self, pushed: Pushed) -> None:
        """Note what it has."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A SQLite file."""

    folder: Path
    name: str = "SQLite"

    def config(self) -> dict[str, Any]:
        """For Feast."""
        return {"type": "sqlite", "path": str(self.folder / "online.db")}

    def read(self) -> Pushed:
        """What it has; nothing where the file is gone."""
        note = self.folder / "pushed.json"
        if not note.is_file() or not (self.folder / "online.db").is_file():
            return Pushed()
        return Pushed(**json.loads(note.read_bytes()))

    def write(self, pushed: Pushed) -> None:
        """Note what it has."""
        write_bytes(self.folder / "pushed.json", canonical_json(asdict(pushed)))


@dataclass(frozen=True, slots=True)
class Shared:
    """A Redis server."""

    url: str
    name: str = "Redis"

    def config(self) -> dict[str, Any]:
        """For Feast, which has an address format of its own.

        Rows come in order and replace what is there: Feast would leave a row that was computed
        anew for the same time.

        Raises:
            ServiceAddressError: the URL names no server.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ServiceAddressError(
                f"{REDIS} names no server; write it as redis://:password@host:6379/0")
        told: dict[str, Any] = {"db": int(parts.path.strip("/") or 0)}
        if parts.scheme == "rediss":
            told["ssl"] = True
        if parts.username:
            told["username"] = unquote(parts.username)
        if parts.password:
            told["password"] = unquote(parts.password)
        # Values are JSON between commas, so that a comma in one of them must not look like one.
        said = (f"{key}={json.dumps(value)}".replace(",", "\\u002c") for key, value in told.items())
        address = f"{parts.hostname}:{parts.port or PORT}"
        return {"type": "redis", "connection_string": ",".join([address, *said]),
                "skip_dedup": True}

    def read(self) -> Pushed:
        """What it has."""
        with self._client() as client:
            note = client.get(NOTE)
        return Pushed(**json.loads(note)) if note else Pushed()

    def write(self, pushed: Pushed) -> None:
        """Note what it has."""
        with self._client() as client:
            client.set(NOTE, canonical_json(asdict(pushed)))

    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)


def open_place(folder: Path) -> OnlinePlace:
    """Redis where its address is set, else SQLite in ``folder``."""
    url = os.environ.get(REDIS, "")
    return Shared(url) if url else Embedded(folder)
