"""The hours of a platform home, which are the partitions of what is monitored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mlops_assets.contracts.errors import PlatformError
from resources.durable import write_bytes
from resources.journal import KEY_FORMAT, hours, journal_folder

FIRST_HOUR_FILE: Final = "first_hour"


class DamagedHome(PlatformError):
    """A file of the platform home can not be read."""


def first_hour(home: Path) -> str:
    """Partition key (``%Y-%m-%d-%H:00``, UTC) of the first hour of a platform home.

    It is the hour of the oldest prediction, or the present one, and is kept on first use: all
    processes of a platform must agree on the partitions, and hours before it hold nothing.

    Raises:
        DamagedHome: the kept hour is not one.
    """
    path = home / FIRST_HOUR_FILE
    if not path.is_file():
        kept = hours(journal_folder(home))
        key = kept[0] if kept else datetime.now(UTC).strftime(KEY_FORMAT)
        write_bytes(path, key.encode())
    key = path.read_text().strip()
    try:
        datetime.strptime(key, KEY_FORMAT)
    except ValueError as error:
        raise DamagedHome(f"{path} holds {key[:40]!r}, not an hour; delete it") from error
    return key
