"""Which hour of the journal has grown since somebody looked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from resources.journal import FOLDER_FORMAT, KEY_FORMAT


def measure_hour(journal: Path, hour: datetime) -> int:
    """Bytes of the predictions and labels that one hour's journal has."""
    folder = journal / hour.strftime(FOLDER_FORMAT)
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def grown(
    journal: Path, seen: Mapping[str, int], now: datetime
) -> tuple[str | None, dict[str, int]]:
    """The first of the last two hours that has grown since ``seen``, and what is seen then."""
    hours = [now - timedelta(hours=1), now]
    sizes = {hour.strftime(KEY_FORMAT): measure_hour(journal, hour) for hour in hours}
    kept = {key: seen[key] for key in sizes if key in seen}
    for key, size in sizes.items():
        if size > kept.get(key, 0):
            return key, {**kept, key: size}
    return None, kept
