"""The prediction journal: what was answered, on disk before the answer leaves.

Layout: ``<folder>/<YYYY-MM-DDTHH>/{predictions,feedback,failures}-<writer>.jsonl``, hours in UTC,
one JSON record a line, chained by hashes (``resources.chain``). A record is handed to the kernel
whole before ``append`` returns, so it survives ``kill -9`` of any process; it is not fsynced, so
not a power failure.
"""

from __future__ import annotations

import mmap
import os
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import ValidationError

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.prediction import FailureRecord, FeedbackRecord, PredictionRecord
from resources.chain import HEAD_SUFFIX, Chain, unlink

FOLDER_FORMAT: Final = "%Y-%m-%dT%H"
KEY_FORMAT: Final = "%Y-%m-%d-%H:00"
SLACK_MS: Final = 2_000
_ID: Final = re.compile(r"0[0-9a-f]{31}")  # 0: milliseconds until the year 2527
WHOLE_ID: Final = re.compile(rb'"prediction_id":"([0-9a-f]{32})"')
_ID_IN_LINE: Final = re.compile(rb'"prediction_id":"([0-9a-f]{12})')
_SCAN_BYTES: Final = 65_536
_AFTER_ALL: Final = 1 << 62

Record = TypeVar("Record", PredictionRecord, FeedbackRecord, FailureRecord)
Kind = Literal["predictions", "feedback", "failures"]


class JournalUnavailable(PlatformError):
    """A record could not be written, so its answer must not leave."""


class JournalDamaged(PlatformError):
    """A line that is not the unfinished last one of its file is no record."""


def _hour(prediction_id: str) -> tuple[str, int]:
    """The hour folder of an id, and the milliseconds since the epoch at which it was made."""
    moment_ms = int(prediction_id[:12], 16)
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime(FOLDER_FORMAT), moment_ms


@dataclass(frozen=True, slots=True)
class _File:
    """An open file of records, and the one beside it that tells the end of its chain."""

    hour: str
    handle: int
    head: int
    chain: Chain


class JournalWriter:
    """Appends records; threads share one. Every writer has files of its own.

    Prediction ids in a file never go back by more than ``SLACK_MS``, which ``find`` relies on:
    a clock that was set back starts a new file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self._lock: Final = threading.Lock()
        self._open: dict[Kind, _File] = {}
        self._newest_ms = 0

    def append(self, record: PredictionRecord | FeedbackRecord | FailureRecord) -> None:
        """Write one record; when this returns, the kernel has all of it.

        Raises:
            JournalUnavailable: no space, no permission, a lost disk. The file keeps no part.
        """
        line = record.model_dump_json().encode()
        if isinstance(record, PredictionRecord):
            self.append_predictions([line], record.answer.prediction_id)
            return
        kind: Kind = "feedback" if isinstance(record, FeedbackRecord) else "failures"
        with self._lock, self._faults_named():
            self._write(kind, record.at.astimezone(UTC).strftime(FOLDER_FORMAT), [line])

    def append_predictions(self, lines: Sequence[bytes], first_id: str) -> None:
        """Write whole records at once: ``PredictionRecord`` as JSON, all made in one millisecond.

        They are not chained yet and have no newline.
        ``first_id`` is the id of any of them; it places them in their hour.

        Raises:
            JournalUnavailable: as for ``append``; none of the lines is kept.
        """
        hour, moment_ms = _hour(first_id)
        with self._lock, self._faults_named():
            if moment_ms < self._newest_ms - SLACK_MS:
                self._leave("predictions")
                self._newest_ms = moment_ms
            self._write("predictions", hour, lines)
            self._newest_ms = max(self._newest_ms, moment_ms)

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalUnavailable(f"journal {self._folder}: {error}") from error

    def close(self) -> None:
        """Close the files. A later ``append`` opens new ones."""
        with self._lock:
            for kind in list(self._open):
                self._leave(kind)

    def _write(self, kind: Kind, hour: str, lines: Sequence[bytes]) -> None:
        file = self._file(kind, hour)
        size = os.fstat(file.handle).st_size
        content = file.chain.link(lines)
        try:
            written = os.write(file.handle, content)
            while written < len(content):
                written += os.write(file.handle, content[written:])
            os.pwrite(file.head, file.chain.head, 0)
        except OSError:
            # Only a file's last line may be unfinished: take it back, and never write behind it.
            self._leave(kind, size)
            raise

    def _file(self, kind: Kind, hour: str) -> _File:
        opened = self._open.get(kind)
        if opened is not None and opened.hour == hour:
            return opened
        self._leave(kind)
        folder = self._folder / hour
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{kind}-{os.getpid()}-{secrets.token_hex(6)}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        chain, head = Chain(path.name), os.open(path.with_suffix(HEAD_SUFFIX), flags, 0o640)
        try:
            os.pwrite(head, chain.head, 0)
            handle = os.open(path, flags | os.O_APPEND, 0o640)
        except OSError:
            os.close(head)
            path.with_suffix(HEAD_SUFFIX).unlink(missing_ok=True)
            raise
        self._open[kind] = _File(hour, handle, head, chain)
        return self._open[kind]

    def _leave(self, kind: Kind, size: int | None = None) -> None:
        opened = self._open.pop(kind, None)
        if opened is None:
            return
        try:
            if size is not None:
                os.ftruncate(opened.handle, size)
        finally:
            os.close(opened.handle)
            os.close(opened.head)


def journal_folder(home: Path) -> Path:
    """The journal of a platform home."""
    return home / "journal"


def hours(folder: Path) -> list[str]:
    """Partition keys (``%Y-%m-%d-%H:00``, UTC) of the hours that have a folder, oldest first."""
    names = (path.name for path in folder.glob("????-??-??T??"))
    return sorted(datetime.strptime(name, FOLDER_FORMAT).strftime(KEY_FORMAT) for name in names)


def hour_folder(folder: Path, key: str) -> Path:
    """Where one hour's files lie, or would.

    Raises:
        ValueError: ``key`` is not a partition key.
    """
    return folder / datetime.strptime(key, KEY_FORMAT).strftime(FOLDER_FORMAT)


def list_files(folder: Path, key: str) -> list[Path]:
    """The files of one hour that are there, or of which a head says that they were, sorted."""
    where = hour_folder(folder, key)
    return sorted({path.with_suffix(".jsonl") for path in where.iterdir()
                   if path.suffix in (".jsonl", HEAD_SUFFIX)})


def read_hour(folder: Path, key: str) -> tuple[list[PredictionRecord], list[FeedbackRecord]]:
    """Records of one hour: predictions by id, feedback by time and then id.

    An unfinished last line of a file, left by a killed process, was never acknowledged and is
    left out. An hour without a folder is empty.

    Raises:
        ValueError: ``key`` is not a partition key.
        JournalDamaged: any other line that is not a record; names the file and the line.
    """
    where = hour_folder(folder, key)
    predictions = list(_records(where, "predictions", PredictionRecord))
    predictions.sort(key=lambda record: record.answer.prediction_id)
    return predictions, read_labels(folder, key)


def read_lines(folder: Path, key: str, marks: Sequence[bytes]) -> Iterator[bytes]:
    """Prediction lines of one hour that hold any of ``marks``, in no order, as they stand.

    For what looks again and again at few of many records: to read one whole is forty times the
    work. An unfinished last line is left out.
    """
    where = hour_folder(folder, key)
    for path in sorted(where.glob("predictions-*.jsonl")):
        yield from (line for line in whole_lines(path) if any(mark in line for mark in marks))


def prediction_ids(folder: Path, key: str) -> set[str]:
    """Ids of the predictions of one hour, without reading their records whole."""
    where = hour_folder(folder, key)
    return {found.decode() for path in where.glob("predictions-*.jsonl")
            for found in WHOLE_ID.findall(path.read_bytes())}


def read_labels(folder: Path, key: str) -> list[FeedbackRecord]:
    """Labels that came in one hour, by time and then id; as ``read_hour``."""
    return sorted(_records(hour_folder(folder, key), "feedback", FeedbackRecord),
                  key=lambda record: (record.at, record.prediction_id, record.label))


def read_failures(folder: Path, key: str) -> list[FailureRecord]:
    """Failures of one hour by time; as ``read_hour``."""
    where = hour_folder(folder, key)
    return sorted(_records(where, "failures", FailureRecord), key=lambda record: record.at)


def find(folder: Path, prediction_id: str) -> PredictionRecord | None:
    """The record of one prediction, or None. Reads a few pages of one hour's files."""
    found = find_line(folder, prediction_id)
    return None if found is None else found[0]


def find_line(folder: Path, prediction_id: str) -> tuple[PredictionRecord, bytes] | None:
    """The record of one prediction and its line, without its newline, or None."""
    found = locate(folder, prediction_id)
    if found is None:
        return None
    path, line = found
    return parse_line(line, PredictionRecord, f"{path}, prediction {prediction_id}"), line


def locate(folder: Path, prediction_id: str) -> tuple[Path, bytes] | None:
    """The file and the line, without its newline, of one prediction's record, or None."""
    if not _ID.fullmatch(prediction_id):
        return None
    hour, target = _hour(prediction_id)
    for path in sorted((folder / hour).glob("predictions-*.jsonl")):
        if path.stat().st_size == 0:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines:
            # Ids go back by at most the slack: outside these bounds none is the target's.
            start, _ = _bisect(lines, target - SLACK_MS)
            _, stop = _bisect(lines, target + SLACK_MS + 1)
            at = lines.find(b'"prediction_id":"' + prediction_id.encode(), start, stop)
            end = lines.find(b"\n", at) if at >= 0 else -1
            if end >= 0:
                return path, lines[lines.rfind(b"\n", 0, at) + 1 : end]
    return None


def _bisect(lines: mmap.mmap, limit_ms: int) -> tuple[int, int]:
    """Starts of two nearby lines: one made before ``limit_ms`` (or 0), one not (or the end)."""
    low, high = 0, len(lines)
    while high - low > _SCAN_BYTES:
        middle = lines.find(b"\n", (low + high) // 2, high) + 1
        if middle in (0, high):
            break
        match = _ID_IN_LINE.search(lines, middle, min(middle + 256, len(lines)))
        moment_ms = int(match.group(1), 16) if match else _AFTER_ALL
        low, high = (middle, high) if moment_ms < limit_ms else (low, middle)
    return low, high


def _records(where: Path, kind: Kind, schema: type[Record]) -> Iterator[Record]:
    for path in sorted(where.glob(f"{kind}-*.jsonl")):
        for number, line in enumerate(whole_lines(path), start=1):
            yield parse_line(line, schema, f"{path}, line {number}")


def whole_lines(path: Path, size: int | None = None) -> Iterator[bytes]:
    """Lines of a file, without their newlines, of its first ``size`` bytes or all.

    It ends before a line that is not finished: what is written meanwhile would be its other half.
    """
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        for line in file:
            left -= len(line)
            if left < 0 or not line.endswith(b"\n"):
                return
            yield line[:-1]


def parse_line(line: bytes, schema: type[Record], where: str) -> Record:
    """The record of one line, chained or not, without its newline; ``where`` is for the error.

    Raises:
        JournalDamaged: it is none.
    """
    try:
        return schema.model_validate_json(unlink(line))
    except ValidationError as error:
        raise JournalDamaged(f"{where}: not a record ({error.errors()[0]['msg']})") from error
