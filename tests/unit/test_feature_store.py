"""The feature store: nothing later than asked, pushes that go on where they were, clear answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.contracts.image_features import FEATURES_SCHEMA
from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.monitoring.logs import PREDICTION_SCHEMA
from resources import feature_store
from resources.data_services import REDIS
from resources.feature_history import Hour, historical, latest_of, write_history
from resources.feature_store import ImageFeatureStore, NothingOnline, Written
from resources.online_place import Shared
from tests.redis_server import redis_server

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
IDS = [f"{number:064x}" for number in range(5)]
Batches = dict[str, tuple[str, Path]]


def write_batch(
    folder: Path, name: str, ids: Sequence[str], at: datetime, value: float
) -> tuple[str, Path]:
    """A version and file of ``image_features`` whose numbers are all ``value``."""
    path = folder / f"{name}.parquet"
    count = len(ids)
    pq.write_table(pa.table({
        "image_id": list(ids), "event_timestamp": [at] * count,
        "embedding": [[value, -value]] * count, **{each: [value] * count for each in NAMES},
        "near_duplicate_group": list(ids), "batch": [name] * count,
    }, schema=FEATURES_SCHEMA), path)
    return f"version-{name}", path


def write_hour(folder: Path, number: int, answers: Sequence[tuple[str, str, str]]) -> Hour:
    """An hour of ``prediction_log`` of (image, class, slot), a second apart."""
    at = NOON + timedelta(hours=number)
    rows: list[dict[str, Any]] = [{
        "prediction_id": f"{number:016x}{row:016x}", "at": at + timedelta(seconds=row),
        "label": label, "confidence": 0.5, "model_version": "1", "slot": slot,
        "bento_tag": "a:b", "image_sha256": image, "latency_ms": 1.0, "cached": False,
        "image_kept": False, "revision": 1, "probabilities": [1.0], "embedding": [0.0],
    } for row, (image, label, slot) in enumerate(answers)]
    path = folder / f"hour-{number}-{len(rows)}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA), path)
    return Hour(f"2026-11-23-{12 + number}:00", f"version-{len(rows)}", path)


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    """Two batches; the image ``IDS[1]`` came again an hour later, with other features."""
    return {"first": write_batch(tmp_path, "first", IDS[:3], NOON, 1.0),
            "second": write_batch(tmp_path, "second", [IDS[1], IDS[3]], LATER, 2.0)}


@pytest.fixture
def hours(tmp_path: Path) -> list[Hour]:
    return [write_hour(tmp_path, 0, [(IDS[0], "bag", "champion"), (IDS[0], "coat", "shadow")]),
            write_hour(tmp_path, 1, [(IDS[0], "coat", "challenger"), (IDS[4], "bag", "champion")])]


def files(batches: Batches) -> list[Path]:
    return [path for _, path in batches.values()]


@pytest.mark.parametrize(("as_of", "values"), [
    (NOON - timedelta(microseconds=1), [None, None, None]),
    (NOON, [1.0, 1.0, None]),
    (LATER - timedelta(microseconds=1), [1.0, 1.0, None]),
    (LATER, [1.0, 2.0, 2.0]),
    (None, [1.0, 2.0, 2.0]),
])
def test_a_value_that_arrives_later_is_not_seen(
    batches: Batches, as_of: datetime | None, values: list[float | None]
) -> None:
    wanted = [IDS[0], IDS[1], IDS[3]]
    found = historical(files(batches), wanted, as_of)
    assert found.column("image_id").to_pylist() == wanted
    assert found.column("sharpness").to_pylist() == values


def test_join_gives_the_rows_that_feast_gives(
    tmp_path: Path, batches: Batches, hours: list[Hour]
) -> None:
    store = ImageFeatureStore(tmp_path / "home")
    store.push(batches, hours)
    names = [f"image_features:{name}" for name in ("embedding", "sharpness", "batch")]
    for as_of in (NOON - timedelta(hours=1), NOON, LATER, LATER + timedelta(hours=1)):
        asked = pa.table({"image_id": IDS, "event_timestamp": [as_of] * len(IDS)})
        theirs = store.historical(asked, names).sort_by("image_id")
        ours = historical(files(batches), IDS, as_of)
        for name in ("image_id", "embedding", "sharpness", "batch"):
            assert ours.column(name).to_pylist() == theirs.column(name).to_pylist(), as_of


def test_latest_rows_are_those_of_the_join(batches: Batches) -> None:
    first, second = files(batches)
    for new, rows in (([first], 1), ([second], 2), ([first, second], 3)):
        parts = [*latest_of(new, [first, second], rows)]
        assert max(part.num_rows for part in parts) <= rows
        found = pa.concat_tables(parts).sort_by("image_id")
        ids = sorted({each for path in new
                      for each in pq.read_table(path).column("image_id").to_pylist()})
        assert found.to_pylist() == historical([first, second], ids, None).to_pylist()


def test_history_counts_go_on_over_hours_without_shadows(
    tmp_path: Path, hours: list[Hour]
) -> None:
    made = write_history(hours, tmp_path / "history")
    assert pq.read_table(made[0]).column("answers").to_pylist() == [1]
    last = historical(made, [IDS[0], IDS[4], IDS[2]], None).to_pylist()
    assert [each["answers"] for each in last] == [2, 1, None]
    assert last[0]["last_classes"] == ["bag", "coat"]
    grown = [hours[0], write_hour(tmp_path, 1, [(IDS[0], "boot", "champion")] * 12)]
    again = write_history(grown, tmp_path / "history")
    assert again[0] == made[0]
    assert not made[1].exists()
    (row,) = historical(again, [IDS[0]], None).to_pylist()
    assert (row["answers"], row["last_classes"]) == (13, ["boot"] * 10)


def check_online(store: ImageFeatureStore, batches: Batches, hours: list[Hour]) -> None:
    """What every online store does."""
    with pytest.raises(NothingOnline, match="materialize `online_features`"):
        store.online(IDS)
    assert store.push(batches, hours) == Written(4, 2)
    first, again, *_, answered, unknown = store.online([*IDS, "f" * 64])
    assert first.features is not None
    assert first.history is not None
    assert again.features is not None
    assert first.features["embedding"] == [1.0, -1.0]
    assert again.features["pixel_mean"] == 2.0
    assert again.history is None
    assert (first.history["predicted_class"], first.history["answers"]) == ("coat", 2)
    assert first.history["last_classes"] == ["bag", "coat"]
    assert answered.features is None
    assert answered.known
    assert not unknown.known


def test_sqlite_answers_by_image(tmp_path: Path, batches: Batches, hours: list[Hour]) -> None:
    check_online(ImageFeatureStore(tmp_path / "home"), batches, hours)


def test_push_writes_only_what_is_new(
    tmp_path: Path, batches: Batches, hours: list[Hour]
) -> None:
    store = ImageFeatureStore(tmp_path / "home")
    assert store.push({"second": batches["second"]}, hours[:1]) == Written(2, 1)
    assert store.push({"second": batches["second"]}, hours[:1]) == Written(0, 0)
    # An older batch that comes later does not hide what is newer.
    assert store.push(batches, hours) == Written(3, 2)
    assert [each.features and each.features["sharpness"] for each in store.online(IDS[:2])] == [
        1.0, 2.0]
    # The same time and other numbers, as by another backbone.
    anew = batches | {"first": ("other", write_batch(tmp_path, "anew", IDS[:3], NOON, 3.0)[1])}
    assert store.push(anew, hours) == Written(3, 0)
    assert [each.features and each.features["sharpness"] for each in store.online(IDS[:2])] == [
        3.0, 2.0]


def test_killed_push_is_completed_by_the_next(
    tmp_path: Path, batches: Batches, hours: list[Hour], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ImageFeatureStore(tmp_path / "home")
    written = []
    write = feature_store._write

    def killed(*arguments: Any) -> int:
        written.append(arguments[1])
        if len(written) == 2:
            raise KeyboardInterrupt
        return write(*arguments)

    monkeypatch.setattr(feature_store, "NOTED_ROWS", 1)
    monkeypatch.setattr(feature_store, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        store.push(batches, hours)
    monkeypatch.undo()
    assert store.push(batches, hours) == Written(2, 2)
    assert all(each.known for each in store.online(IDS))


def test_lost_online_store_is_filled_again(
    tmp_path: Path, batches: Batches, hours: list[Hour]
) -> None:
    store = ImageFeatureStore(tmp_path / "home")
    store.push(batches, hours)
    (store.folder / "online.db").unlink()
    with pytest.raises(NothingOnline):
        store.online(IDS)
    assert store.push(batches, hours) == Written(4, 2)


def test_redis_answers_by_image_and_is_filled_again(
    tmp_path: Path, batches: Batches, hours: list[Hour], monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis

    store = ImageFeatureStore(tmp_path / "home")
    with redis_server(tmp_path) as url:
        monkeypatch.setenv(REDIS, url)
        check_online(store, batches, hours)
        anew = batches | {"first": ("other", write_batch(tmp_path, "anew", IDS[:1], NOON, 3.0)[1])}
        assert store.push(anew, hours) == Written(1, 0)
        assert store.online(IDS[:1])[0].features["sharpness"] == 3.0  # type: ignore[index]
        with redis.Redis.from_url(url) as client:
            client.flushall()
        with pytest.raises(NothingOnline, match="Redis"):
            store.online(IDS)
        assert store.push(batches, hours) == Written(4, 2)


def test_redis_address_survives_feasts_format() -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore

    config = Shared("rediss://me:12%2C%3D%2234@cache:7000/2").config()
    nodes, told = RedisOnlineStore._parse_connection_string(config["connection_string"])
    assert nodes == [{"host": "cache", "port": "7000"}]
    assert told == {"db": 2, "ssl": True, "username": "me", "password": '12,="34'}
