"""One hour's predictions as they stood at one moment, read in the order of their ids.

Files of the journal only grow, so their sizes pin what they held. Ids within a file go back by at
most ``SLACK_MS``: what is kept waiting is that much traffic of each writer, and not the hour.
"""

from __future__ import annotations

import hashlib
import heapq
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.prediction import PredictionRecord
from resources.chain import unlink
from resources.journal import (
    SLACK_MS,
    WHOLE_ID,
    JournalDamaged,
    hour_folder,
    parse_line,
    whole_lines,
)


class JournalChanged(PlatformError):
    """Lines that were pinned are not as they were."""


class Line(NamedTuple):
    """One prediction's id, where it stands, and its JSON object, without the chain's member."""

    id: bytes
    where: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PinnedHour:
    """Files of one hour and the bytes of each that count."""

    files: tuple[tuple[Path, int], ...]

    @classmethod
    def of(cls, folder: Path, key: str) -> PinnedHour:
        """The hour of a partition key as it stands; one without a folder is empty.

        Raises:
            ValueError: ``key`` is not a partition key.
        """
        paths = sorted(hour_folder(folder, key).glob("predictions-*.jsonl"))
        return cls(tuple((path, path.stat().st_size) for path in paths))

    def lines(self) -> Iterator[Line]:
        """Every whole line, by id.

        Raises:
            JournalDamaged: a line has no id, or one that is out of order.
        """
        return heapq.merge(*(_in_order(path, size) for path, size in self.files),
                           key=operator.attrgetter("id"))

    def sha256(self) -> str:
        """A hash of all lines, in their order; which file holds them does not matter."""
        found = hashlib.sha256()
        for line in self.lines():
            found.update(line.content + b"\n")
        return found.hexdigest()

    def records(self, sha256: str | None = None) -> Iterator[PredictionRecord]:
        """Every prediction, by id.

        Raises:
            JournalDamaged: a line is not a record; names the file and the line.
            JournalChanged: after the last one, the lines were not those of ``sha256``.
        """
        found = hashlib.sha256()
        for line in self.lines():
            found.update(line.content + b"\n")
            yield parse_line(line.content, PredictionRecord, line.where)
        if sha256 is not None and found.hexdigest() != sha256:
            where = ", ".join(str(path) for path, _ in self.files)
            raise JournalChanged(f"{where}: lines were taken back while they were read; try again")


def _in_order(path: Path, size: int) -> Iterator[Line]:
    waiting: list[Line] = []
    newest_ms, last = 0, b""
    for line in _lines(path, size):
        if line.id < last:
            raise JournalDamaged(f"{line.where}: its id is more than {SLACK_MS} ms older than one "
                                 "before it")
        heapq.heappush(waiting, line)
        newest_ms = max(newest_ms, _moment_ms(line))
        while _moment_ms(waiting[0]) < newest_ms - SLACK_MS:
            last = waiting[0].id
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


def _lines(path: Path, size: int) -> Iterator[Line]:
    for number, line in enumerate(whole_lines(path, size), start=1):
        where = f"{path}, line {number}"
        found = WHOLE_ID.search(line)
        if found is None:
            raise JournalDamaged(f"{where}: not a record (it has no prediction_id)")
        yield Line(found.group(1), where, unlink(line))


def _moment_ms(line: Line) -> int:
    return int(line.id[:12], 16)
