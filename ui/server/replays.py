"""Changes that are asked for twice under one key are made once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Final

from fastapi import HTTPException
from pydantic import TypeAdapter

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.provenance.hashing import sha256_bytes
from resources import changes
from resources.dagster_api import DagsterSilent
from resources.platform_db import PlatformDatabase

KEY: Final = re.compile(r"[\x21-\x7e]{8,100}")
KEY_HEADER: Final = "idempotency-key"


class Refused(PlatformError):
    """What was asked for can not be done; the answer that says so."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Replays:
    """One change is made at a time."""

    def __init__(self, database: Callable[[], PlatformDatabase]) -> None:
        self._lock = threading.Lock()
        self._database = database

    def once(self, key: str | None, asked: Any, make: Callable[[], str]) -> tuple[str, bool]:
        """What a change gave, and whether it had been made before.

        Raises:
            HTTPException: 400 without a key.
            KeyReused: the key came with another change.
            OutcomeUnknown: whether the change was made is not known.
        """
        if key is None or not KEY.fullmatch(key):
            raise HTTPException(400, f"send 8 to 100 printable characters as {KEY_HEADER}")
        digest = sha256_bytes(TypeAdapter(Any).dump_json(asked))
        with self._lock:
            return changes.once(self._database(), key, digest, make, doubtful=(DagsterSilent,))
