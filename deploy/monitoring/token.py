"""The secret by which the console knows that a message is Alertmanager's."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

TOKEN_BYTES: Final = 32


def ensure_token(path: Path) -> None:
    """Make the secret unless it is there; only this user can read it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    if path.exists():
        return
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(TOKEN_BYTES))
    temporary.replace(path)
