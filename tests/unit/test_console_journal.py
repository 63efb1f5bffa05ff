"""The console follows the journal as it grows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    FailureRecord,
    FeedbackRecord,
    PredictionRecord,
    new_prediction_id,
)
from resources.journal import JournalWriter, journal_folder
from ui.server.sources.journal import Journal, merged

VERSION = "v" * 64


def record(at: datetime, latency: float, confidence: float, **more: object) -> PredictionRecord:
    model = AnsweringModel(name="classifier", version=VERSION, sha256="s" * 64, slot="champion")
    return PredictionRecord.model_validate({
        "answer": Answer(
            prediction_id=new_prediction_id(at), label="bag", confidence=confidence,
            probabilities={"bag": confidence, "coat": 1 - confidence}, model=model,
            latency_ms=latency),
        "at": at, "image_sha256": "a" * 64, "bento_tag": "classifier:one", "embedding": [0.5],
        "pixel_mean": 1.0, "pixel_std": 1.0, **more})


def test_each_look_takes_what_was_added(home: Path) -> None:
    folder, now = journal_folder(home), datetime.now(UTC)
    writer, book = JournalWriter(folder), Journal(folder)
    book.read()
    for number in range(100):
        writer.append(record(now + timedelta(milliseconds=number), 1.0 + number, 0.9))
    book.read()
    assert len(book.rows) == 100
    writer.append(record(now + timedelta(seconds=1), 1000.0, 0.2))
    writer.append(record(now + timedelta(seconds=1), 5.0, 0.2, shadow_of="0" * 32))
    writer.append(FeedbackRecord(prediction_id=book.rows[0].id, label="coat", at=now))
    writer.append(FailureRecord(at=now, slot="champion", model_version=VERSION, revision=1,
                                problem="slow", count=3))
    writer.close()
    book.read()
    assert len(book.rows) == 101, "shadow answers are nobody's"
    assert [row.id for row in book.rows] == sorted(row.id for row in book.rows)
    assert book.truths == {book.rows[0].id: "coat"}
    found = list(book.between(now.timestamp() - 120, now.timestamp() + 120))
    assert {version for _, version, _ in found} == {VERSION}
    total = merged(bucket for _, _, bucket in found)
    assert (total.answers, total.failures, total.low) == (101, 3, 1)
    assert total.latency(0.5) == pytest.approx(51, rel=0.09)
    assert total.latency(0.95) == pytest.approx(96, rel=0.09)


def test_a_line_that_is_being_written_is_left_for_the_next_look(home: Path) -> None:
    folder, now = journal_folder(home), datetime.now(UTC)
    writer = JournalWriter(folder)
    for _ in range(2):
        writer.append(record(now, 1.0, 0.9))
    writer.close()
    (path,) = folder.glob("*/predictions-*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    book = Journal(folder)
    book.read()
    assert len(book.rows) == 1
    path.write_bytes(whole)
    book.read()
    assert len(book.rows) == 2


def test_memory_is_bounded(home: Path) -> None:
    folder, now = journal_folder(home), datetime.now(UTC)
    writer, book = JournalWriter(folder), Journal(folder, rows=10)
    for number in range(30):
        writer.append(record(now + timedelta(milliseconds=number), 1.0, 0.9))
    writer.close()
    book.read()
    assert len(book.rows) == 10
