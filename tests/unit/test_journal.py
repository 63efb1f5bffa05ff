"""The journal: what is acknowledged can be read, whatever happens to the process."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    FeedbackRecord,
    PredictionRecord,
    new_prediction_id,
)
from resources.chain import breaks
from resources.journal import (
    SLACK_MS,
    JournalDamaged,
    JournalUnavailable,
    JournalWriter,
    find,
    hours,
    list_files,
    read_hour,
    whole_lines,
)

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
KEY = "2026-11-23-12:00"


def prediction(at: datetime, *, features: int = 4) -> PredictionRecord:
    model = AnsweringModel(name="m", version="v", sha256="s", slot="champion")
    answer = Answer(
        prediction_id=new_prediction_id(at),
        label="coat",
        confidence=0.75,
        probabilities={"coat": 0.75, 'b"a\ng': 0.25},
        model=model,
        latency_ms=1.5,
    )
    return PredictionRecord(
        answer=answer,
        at=at,
        image_sha256="0" * 64,
        bento_tag="dev",
        embedding=[0.125] * features,
        pixel_mean=1.0,
        pixel_std=2.0,
    )


def broken(folder: Path) -> list[str]:
    return [problem for key in hours(folder) for path in list_files(folder, key)
            for problem in breaks(path)]


def write(folder: Path, *records: PredictionRecord | FeedbackRecord) -> None:
    journal = JournalWriter(folder)
    for record in records:
        journal.append(record)
    journal.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jsonl"))


DAMAGES = [b"", b"{}", b"\xff\x00", b'{"kind":"prediction"']


def test_journal_reads_back_what_it_was_given_sorted(tmp_path: Path) -> None:
    late, early = prediction(NOON + timedelta(seconds=1)), prediction(NOON)
    label = FeedbackRecord(prediction_id=early.answer.prediction_id, label="bag", at=NOON)
    write(tmp_path, late, label, early)
    assert hours(tmp_path) == [KEY]
    assert read_hour(tmp_path, KEY) == ([early, late], [label])


def test_journal_of_no_folder_has_no_hours(tmp_path: Path) -> None:
    assert hours(tmp_path / "none") == []
    assert read_hour(tmp_path / "none", KEY) == ([], [])
    assert find(tmp_path / "none", "0" * 32) is None


def test_journal_puts_a_record_in_the_hour_of_its_id(tmp_path: Path) -> None:
    moments = [NOON - timedelta(microseconds=1), NOON, NOON + timedelta(hours=1)]
    write(tmp_path, *[prediction(moment) for moment in moments])
    assert hours(tmp_path) == ["2026-11-23-11:00", KEY, "2026-11-23-13:00"]
    assert [len(read_hour(tmp_path, key)[0]) for key in hours(tmp_path)] == [1, 1, 1]


def test_journal_leaves_out_an_unfinished_last_line(tmp_path: Path) -> None:
    first, second = prediction(NOON), prediction(NOON)
    write(tmp_path, first, second)
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert read_hour(tmp_path, KEY)[0] == [first]
    assert find(tmp_path, first.answer.prediction_id) == first
    assert find(tmp_path, second.answer.prediction_id) is None


def write_damaged(folder: Path, damage: bytes) -> None:
    """A file of two predictions, with ``damage`` as a line between them."""
    write(folder, prediction(NOON), prediction(NOON))
    (path,) = files(folder)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], damage, lines[1], b""]))


@pytest.mark.parametrize("damage", DAMAGES)
def test_journal_names_a_damaged_line(tmp_path: Path, damage: bytes) -> None:
    write_damaged(tmp_path, damage)
    with pytest.raises(JournalDamaged, match=r"predictions-.*, line 2"):
        read_hour(tmp_path, KEY)


def test_a_line_that_is_finished_while_it_is_read_is_not_read_by_halves(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"first\nsec")
    lines = whole_lines(path)
    assert next(lines) == b"first"
    with path.open("ab") as file:
        file.write(b"ond\nthird\n")
    assert list(lines) == []
    assert list(whole_lines(path)) == [b"first", b"second", b"third"]
    assert list(whole_lines(path, 14)) == [b"first", b"second"]


def test_find_ignores_what_is_no_id(tmp_path: Path) -> None:
    write(tmp_path, prediction(NOON))
    for text in ("", "../../etc/passwd", "f" * 32, "0" * 31, "0" * 32, new_prediction_id(NOON)):
        assert find(tmp_path, text) is None


@settings(max_examples=15, deadline=None)
@given(jumps=st.lists(st.integers(-6 * SLACK_MS, 4 * SLACK_MS), min_size=60, max_size=120))
def test_find_finds_every_record_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    moment, records = NOON, []
    for jump in jumps:
        moment += timedelta(milliseconds=jump)
        records.append(prediction(moment, features=400))
    write(folder, *records)
    assert max(path.stat().st_size for path in files(folder)) > 2_000
    for record in records:
        assert find(folder, record.answer.prediction_id) == record


def test_find_searches_a_large_file_without_reading_it(tmp_path: Path) -> None:
    records = [prediction(NOON + timedelta(seconds=n), features=400) for n in range(1500)]
    write(tmp_path, *records)
    (path,) = files(tmp_path)
    assert path.stat().st_size > 10 * 65_536
    for record in records[::50]:
        assert find(tmp_path, record.answer.prediction_id) == record


def test_journal_survives_threads(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path)

    def append() -> None:
        for _ in range(50):
            journal.append(prediction(NOON))

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(read_hour(tmp_path, KEY)[0]) == 400
    assert broken(tmp_path) == []


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel write short and then refuse, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    kept, refused, after = prediction(NOON), prediction(NOON, features=4000), prediction(NOON)
    journal = JournalWriter(tmp_path)
    journal.append(kept)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(JournalUnavailable, match="journal"):
            journal.append(refused)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    journal.append(after)
    journal.close()
    assert all(path.read_bytes().endswith(b"\n") for path in files(tmp_path))
    assert sorted(r.at for r in read_hour(tmp_path, KEY)[0]) == [kept.at, after.at]
    assert broken(tmp_path) == []


def test_a_missing_permission_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file where the folder should be")
    with pytest.raises(JournalUnavailable):
        JournalWriter(tmp_path / "journal").append(prediction(NOON))


def test_an_acknowledged_record_survives_kill_9(tmp_path: Path) -> None:
    script = (
        "import sys, tests.unit.test_journal as t; from resources.journal import JournalWriter\n"
        "journal = JournalWriter(t.Path(sys.argv[1]))\n"
        "while True:\n"
        "    record = t.prediction(t.datetime.now(t.UTC), features=300); journal.append(record)\n"
        "    print(record.answer.prediction_id, flush=True)\n"
    )
    command, root = [sys.executable, "-c", script, str(tmp_path)], Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(200)]
        writer.kill()
        told += writer.stdout.read().split("\n")[:-1]
    read = {r.answer.prediction_id for key in hours(tmp_path) for r in read_hour(tmp_path, key)[0]}
    assert len(told) >= 200 and set(told) <= read
    assert broken(tmp_path) == []
