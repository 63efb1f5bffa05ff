"""Hours of the journal as they stood: `resources.pinned_hour`, and the log that is made of them."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.contracts.files import PREDICTIONS_FILE
from mlops_assets.monitoring import logs
from mlops_assets.monitoring.logs import build_prediction_log
from resources.journal import SLACK_MS, JournalDamaged, JournalWriter, hours, read_hour
from resources.pinned_hour import JournalChanged, PinnedHour
from resources.steps import Workspace
from resources.store import ArtifactStore
from tests.unit.test_journal import (
    DAMAGES,
    KEY,
    NOON,
    files,
    prediction,
    write,
    write_damaged,
)


def workspace(folder: Path) -> Workspace:
    (folder / "work").mkdir(parents=True)
    return Workspace(ArtifactStore(folder / "store"), KEY, "run", {}, folder / "work", "test")


@settings(max_examples=25, deadline=None)
@given(jumps=st.lists(st.lists(st.integers(-2 * SLACK_MS, 3 * SLACK_MS), max_size=40),
                      min_size=1, max_size=4))
def test_records_of_several_writers_come_by_id_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    for writer in jumps:
        moment, records = NOON + timedelta(minutes=30), []
        for jump in writer:
            moment += timedelta(milliseconds=jump)
            records.append(prediction(moment, features=2))
        write(folder, *records)
    for key in hours(folder):
        assert list(PinnedHour.of(folder, key).records()) == read_hour(folder, key)[0]


def test_what_comes_later_is_not_in_it(tmp_path: Path) -> None:
    first, later = prediction(NOON), prediction(NOON + timedelta(minutes=1))
    journal = JournalWriter(tmp_path)
    journal.append(first)
    pinned = PinnedHour.of(tmp_path, KEY)
    before = pinned.sha256()
    journal.append(later)
    journal.close()
    write(tmp_path, prediction(NOON + timedelta(minutes=2)))
    assert list(pinned.records(before)) == [first]
    assert PinnedHour.of(tmp_path, KEY).sha256() != before


def test_which_file_holds_a_line_does_not_change_the_hash(tmp_path: Path) -> None:
    one, two = prediction(NOON), prediction(NOON + timedelta(seconds=1))
    write(tmp_path / "together", one, two)
    write(tmp_path / "apart", two)
    write(tmp_path / "apart", one)
    assert (PinnedHour.of(tmp_path / "together", KEY).sha256()
            == PinnedHour.of(tmp_path / "apart", KEY).sha256())


def test_an_unfinished_last_line_is_left_out(tmp_path: Path) -> None:
    first = prediction(NOON)
    write(tmp_path, first, prediction(NOON))
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert list(PinnedHour.of(tmp_path, KEY).records()) == [first]


def test_lines_that_are_taken_back_while_they_are_read_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, prediction(NOON), prediction(NOON))
    (path,) = files(tmp_path)
    pinned = PinnedHour.of(tmp_path, KEY)
    sha256 = pinned.sha256()
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    with pytest.raises(JournalChanged, match="try again"):
        list(pinned.records(sha256))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_line_is_named(tmp_path: Path, damage: bytes) -> None:
    write_damaged(tmp_path, damage)
    with pytest.raises(JournalDamaged, match=r"predictions-.*, line 2"):
        PinnedHour.of(tmp_path, KEY).sha256()


def test_a_line_that_was_moved_far_is_named(tmp_path: Path) -> None:
    write(tmp_path, *(prediction(NOON + timedelta(seconds=5 * n)) for n in range(3)))
    (path,) = files(tmp_path)
    first, second, third, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([second, third, first, b""]))
    with pytest.raises(JournalDamaged, match=r"line 3: its id is more than 2000 ms older"):
        list(PinnedHour.of(tmp_path, KEY).records())


def test_the_log_is_the_same_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [prediction(NOON + timedelta(seconds=n)) for n in range(10)]
    found = []
    for rows in (8192, 3):
        monkeypatch.setattr(logs, "CHUNK_ROWS", rows)
        work = workspace(tmp_path / str(rows))
        build_prediction_log(records, work)
        found.append(pq.read_table(work.out("prediction_log") / PREDICTIONS_FILE))
        values = work.summary("prediction_log").values
        assert (values["rows"], values["models"]) == (10, 1)
    assert found[0].equals(found[1])
    assert found[0]["prediction_id"].to_pylist() == [r.answer.prediction_id for r in records]
    assert found[0]["embedding"].to_pylist() == [list(r.embedding) for r in records]


def test_a_prediction_that_stands_twice_fails_the_check(tmp_path: Path) -> None:
    record = prediction(NOON)
    work = workspace(tmp_path)
    build_prediction_log([record, record], work)
    assert [check.passed for check in work.summary("prediction_log").checks] == [False]


def test_an_hour_without_predictions_is_an_empty_log(tmp_path: Path) -> None:
    work = workspace(tmp_path)
    build_prediction_log(PinnedHour.of(tmp_path / "journal", KEY).records(), work)
    assert pq.read_table(work.out("prediction_log") / PREDICTIONS_FILE).num_rows == 0


def test_memory_does_not_grow_with_the_hour(tmp_path: Path) -> None:
    """Four times the predictions, in as many seconds of traffic, cost no more."""
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        write(folder, *(prediction(NOON + timedelta(seconds=n / 4), features=64)
                        for n in range(count)))
        tracemalloc.start()
        total = sum(1 for _ in PinnedHour.of(folder, KEY).lines())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == count
        return most

    peak(10)
    assert peak(8000) < 1.2 * peak(2000)

