"""The journal as the service writes it: the latest answers, and counts by minute and model.

Files only grow, so each look reads what was added since the one before. Shadow answers, which
nobody got, are left out.
"""

from __future__ import annotations

import math
import time
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from resources.chain import unlink
from resources.journal import hours, list_files

ROWS: Final = 20_000
DAYS: Final = 14
MINUTE: Final = 60
# What is read at the first look, the newest hours first; about 100,000 records.
FIRST_BYTES: Final = 400 << 20
LOW: Final = 0.5
# Latencies are counted in cells that grow by an eighth of a doubling: quantiles within 9 %.
CELLS_A_DOUBLING: Final = 8


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One answer; ids sort by time."""

    id: str
    label: str
    confidence: float
    version: str
    slot: str
    latency_ms: float
    novelty: float | None
    image: str
    kept: bool
    step: str
    tag: str
    classes: dict[str, float] = field(compare=False)
    caller: str = field(default="", compare=False)

    @property
    def at(self) -> float:
        """Seconds since 1970."""
        return int(self.id[:12], 16) / 1000


@dataclass(slots=True)
class Bucket:
    """Answers of one model in one minute."""

    answers: int = 0
    failures: int = 0
    low: int = 0
    confidence: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)

    def add(self, other: Bucket) -> None:
        """Count another bucket too."""
        self.answers += other.answers
        self.failures += other.failures
        self.low += other.low
        self.confidence += other.confidence
        self.latencies.update(other.latencies)

    def latency(self, share: float) -> float | None:
        """The latency in ms that this share of answers stays below; None without an answer."""
        rank, passed = share * sum(self.latencies.values()), 0
        for cell, count in sorted(self.latencies.items()):
            passed += count
            if passed >= rank:
                return float(2.0 ** ((cell + 0.5) / CELLS_A_DOUBLING))
        return None


def _cell(milliseconds: float) -> int:
    return math.floor(math.log2(max(milliseconds, 0.01)) * CELLS_A_DOUBLING)


class Journal:
    """What is known of the journal; one thread reads it, any may ask."""

    def __init__(self, folder: Path, *, rows: int = ROWS) -> None:
        self._folder, self._keep = folder, rows
        self._offsets: dict[Path, int] = {}
        self.rows: list[Row] = []
        self.truths: dict[str, str] = {}
        self.buckets: defaultdict[int, dict[str, Bucket]] = defaultdict(dict)
        self.slots: dict[str, str] = {}
        self.labelled = 0
        self.newest = 0.0

    def read(self) -> int:
        """Take in what was added; gives the number of records seen since the beginning."""
        first, budget = not self._offsets, FIRST_BYTES
        added: list[Row] = []
        for key in reversed(hours(self._folder)[-DAYS * 24:]):
            for path in list_files(self._folder, key):
                budget -= self._take(path, added)
            if first and budget < 0:
                break
        if len(added) > 1000:
            self.rows = sorted([*self.rows, *added])
        else:
            # A new list: readers go through the one that they have.
            rows = list(self.rows)
            for row in added:
                insort(rows, row)
            self.rows = rows
        self._forget()
        return sum(self._offsets.values())

    def _take(self, path: Path, added: list[Row]) -> int:
        start = self._offsets.get(path, 0)
        try:
            if path.stat().st_size <= start:
                return 0
            with path.open("rb") as file:
                file.seek(start)
                content = file.read()
        except FileNotFoundError:
            return 0
        whole = content.rfind(b"\n") + 1
        self._offsets[path] = start + whole
        for line in content[:whole].splitlines():
            try:
                record = orjson.loads(unlink(line))
            except orjson.JSONDecodeError:
                # `mlops verify` names damaged lines; the page shows the others.
                continue
            self._count(record, added)
        return whole

    def _count(self, record: dict[str, Any], added: list[Row]) -> None:
        kind = record.get("kind")
        if kind == "prediction" and record.get("shadow_of") is None:
            row = _row(record)
            added.append(row)
            self.newest = max(self.newest, row.at)
            bucket = self._bucket(int(row.at), row.version)
            bucket.answers += 1
            bucket.confidence += row.confidence
            bucket.low += row.confidence < LOW
            bucket.latencies[_cell(row.latency_ms)] += 1
            self.slots[row.version] = row.slot
        elif kind == "feedback":
            self.truths[record["prediction_id"]] = record["label"]
            self.labelled += 1
        elif kind == "failure" and record["slot"] != "shadow":
            at = datetime.fromisoformat(record["at"]).timestamp()
            self._bucket(int(at), record["model_version"]).failures += record.get("count", 1)

    def _bucket(self, at: int, version: str) -> Bucket:
        return self.buckets[at // MINUTE].setdefault(version, Bucket())

    def _forget(self) -> None:
        self.rows = self.rows[-self._keep:]
        oldest = int(time.time()) // MINUTE - DAYS * 24 * 60
        for minute in [each for each in self.buckets if each < oldest]:
            del self.buckets[minute]
        if len(self.truths) > 10 * self._keep:
            held = {row.id for row in self.rows}
            self.truths = {key: label for key, label in self.truths.items() if key in held}

    def between(self, start: float, end: float) -> Iterator[tuple[int, str, Bucket]]:
        """Minute (since 1970), model version and counts, of the minutes in a range of seconds."""
        for minute in range(int(start) // MINUTE, int(end) // MINUTE + 1):
            for version, bucket in list(self.buckets.get(minute, {}).items()):
                yield minute, version, bucket


def merged(buckets: Iterable[Bucket]) -> Bucket:
    """One bucket of many."""
    total = Bucket()
    for bucket in buckets:
        total.add(bucket)
    return total


def _row(record: dict[str, Any]) -> Row:
    answer = record["answer"]
    model = answer["model"]
    return Row(answer["prediction_id"], answer["label"], answer["confidence"], model["version"],
               model["slot"], answer["latency_ms"], record.get("novelty"), record["image_sha256"],
               bool(record.get("image_kept")), record.get("step", "idle"), record["bento_tag"],
               answer["probabilities"], record.get("caller", ""))
