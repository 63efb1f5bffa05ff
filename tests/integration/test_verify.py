"""``mlops verify`` finds any flipped bit and names the file."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from mlops_assets.lineage.graph import Artifact, load_graph
from mlops_assets.monitoring.logs import build_prediction_log
from mlops_assets.provenance.hashing import sha256_bytes
from resources.dvc import DvcRepository
from resources.journal import hours, journal_folder, read_hour
from resources.steps import Step
from resources.store import ArtifactStore
from tests.small_platform import SmallPlatform, mlops


def assert_found(path: Path, *arguments: str) -> None:
    found = mlops("verify", *arguments)
    assert found.exit_code == 1, f"{path}\n{found.output}"
    assert path.name in found.output, f"{path}\n{found.output}"


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def flipped(path: Path, chance: random.Random) -> bytes:
    content = bytearray(path.read_bytes())
    bit = chance.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def test_a_whole_home_passes(platform: SmallPlatform) -> None:
    found = mlops("verify")
    assert found.exit_code == 0, found.output
    assert "everything is whole" in found.output
    told = json.loads(mlops("verify", "--json").stdout)
    assert told["whole"] is True
    assert {each["what"] for each in told["checked"]} >= {
        "dataset", "raw_images", "records", "references", "memos", "journal", "bentos",
        "audit log"}


@pytest.mark.parametrize("pattern", [
    "store/*/????????????????????????????????????????????????????????????????/**/*",
    "store/*/records/*", "store/*/refs/*", "store/.steps/*", "bentoml/bentos/*/*/**/*",
], ids=["artifacts", "records", "references", "memos", "bentos"])
def test_one_flipped_bit_in_any_file_is_found(platform: SmallPlatform, pattern: str) -> None:
    files = [path for path in sorted(platform.home.glob(pattern)) if path.is_file()]
    assert len(files) >= 5
    chance = random.Random(5)
    for path in files:
        with changed(path, flipped(path, chance)):
            assert_found(path)
    assert mlops("verify").exit_code == 0


def test_a_missing_and_an_added_file_are_found(platform: SmallPlatform) -> None:
    folder = platform.store.path(platform.exported)
    card, away = folder / "model_card.json", platform.folder / "away"
    card.rename(away)
    assert_found(card)
    away.rename(card)
    (folder / "extra").write_text("extra")
    assert_found(folder / "extra")
    (folder / "extra").unlink()


def test_a_missing_version_is_found_where_it_was_read(platform: SmallPlatform) -> None:
    folder = platform.store.path(platform.store.pin("dataset"))
    folder.rename(platform.folder / "away")
    assert_found(folder)
    assert_found(folder, platform.exported.version[:8])
    (platform.folder / "away").rename(folder)


def test_a_dvc_pointer_that_is_not_of_its_folder_is_found(platform: SmallPlatform) -> None:
    raw = platform.store.path(platform.store.pin("raw_images", "initial"))
    pointer = raw.with_name(f"{raw.name}.dvc")
    told = DvcRepository(platform.store.root).hash_of(raw)
    whole, chance = pointer.read_bytes(), random.Random(9)
    for content in (whole.replace(told[:4].encode(), b"0000"), b"outs: [", b"\xff",
                    *(flipped(pointer, chance) for _ in range(20))):
        with changed(pointer, content):
            assert_found(pointer)


def test_dvc_restores_a_damaged_snapshot_as_verify_says(platform: SmallPlatform) -> None:
    raw = platform.store.path(platform.store.pin("raw_images", "initial"))
    path = next(raw.glob("images-*.parquet"))
    path.write_bytes(flipped(path, random.Random(1)))
    told = mlops("verify").output
    advice = told.partition("run `dvc ")[2].partition("`")[0]
    DvcRepository(platform.store.root).run(*advice.split())
    assert mlops("verify").exit_code == 0


def change_rows(platform: SmallPlatform, *statements: str) -> None:
    with sqlite3.connect(platform.home / "platform.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("statement", [
    "UPDATE audit_log SET actor = 'nobody'",
    "UPDATE audit_log SET at = '2020-01-01 00:00:00'",
    "UPDATE audit_log SET details = '{\"revision\": 7}'",
    "UPDATE audit_log SET details = 'no json'",
    "DELETE FROM audit_log",
    "DELETE FROM audit_head",
    "UPDATE rollout_state SET state = '{}'",
    "UPDATE rollout_state SET state = replace(state, '\"revision\": 1', '\"revision\": 2')",
])
def test_a_changed_row_of_the_database_is_found(platform: SmallPlatform, statement: str) -> None:
    database = platform.home / "platform.db"
    with changed(database, database.read_bytes()):
        change_rows(platform, statement)
        assert_found(database)
    assert mlops("verify").exit_code == 0


def test_a_damaged_database_file_is_found(platform: SmallPlatform) -> None:
    database = platform.home / "platform.db"
    with changed(database, b"not a database" * 100):
        assert_found(database)


def test_a_service_file_of_another_champion_is_found(platform: SmallPlatform) -> None:
    path = platform.home / "serving" / "state.json"
    with changed(path, path.read_bytes().replace(b"classifier:", b"classifies:")):
        assert_found(path)


@pytest.mark.parametrize("damage", [
    lambda content: content.replace(b'"confidence":0.75', b'"confidence":x.75'),
    lambda content: content.replace(b"{", b"[", 1),
    lambda content: b"\n" + content,
])
def test_a_damaged_journal_line_is_found(
    platform: SmallPlatform, damage: Callable[[bytes], bytes]
) -> None:
    path = sorted((platform.home / "journal").glob("*/predictions-*.jsonl"))[0]
    with changed(path, damage(path.read_bytes())):
        assert_found(path)


def test_a_bento_that_serves_and_is_gone_is_found(platform: SmallPlatform) -> None:
    platform.bento.rename(platform.folder / "away")
    assert "serves as champion and is missing" in mlops("verify").output
    (platform.folder / "away").rename(platform.bento)


def rewritten(kind: str, lines: list[bytes]) -> list[bytes]:
    match kind:
        case "removed":
            return lines[1:]
        case "cut off":
            return lines[:-1]
        case "moved":
            return lines[::-1]
        case _:
            return [lines[0].replace(b'"label":"bag"', b'"label":"hat"'), *lines[1:]]


@pytest.mark.parametrize("kind", ["removed", "cut off", "moved", "changed"])
def test_a_journal_that_was_rewritten_is_found(platform: SmallPlatform, kind: str) -> None:
    path = sorted((platform.home / "journal").glob("*/predictions-*.jsonl"))[0]
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 2
    changed_lines = rewritten(kind, lines)
    assert changed_lines != lines
    with changed(path, b"".join(changed_lines)):
        assert_found(path)


def test_a_journal_file_that_was_taken_away_is_found(platform: SmallPlatform) -> None:
    path = sorted((platform.home / "journal").glob("*/predictions-*.jsonl"))[0]
    path.rename(platform.folder / "away")
    assert_found(path)
    (platform.folder / "away").rename(path)
    head = path.with_suffix(".head")
    with changed(head, head.read_bytes().replace(b"2 ", b"3 ")):
        assert_found(path)


def test_a_journal_file_that_was_taken_away_with_its_head_is_found(
    platform: SmallPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(platform.home, home, symlinks=True)
    monkeypatch.setenv("PLATFORM_HOME", str(home))
    journal = journal_folder(home)
    (hour,) = hours(journal)
    records, _ = read_hour(journal, hour)
    platform.run(Step("monitoring", ("prediction_log",), config={"hour": hour}),
                 partial(build_prediction_log, records), partition=hour,
                 store=ArtifactStore(home / "store"))
    whole = mlops("verify")
    assert whole.exit_code == 0, whole.output
    (path,) = journal.glob("*/predictions-*.jsonl")
    path.with_suffix(".head").unlink()
    path.unlink()
    found = mlops("verify")
    assert found.exit_code == 1
    assert f"lacks 2 of 2 predictions of {hour}" in " ".join(found.output.split())


def test_a_bit_at_100_random_places_behind_a_prediction_is_found(platform: SmallPlatform) -> None:
    prediction = platform.predictions[0].answer.prediction_id
    graph = load_graph(platform.store)
    exported = Artifact("exported_model", platform.exported.version)
    behind = [exported, *graph.ancestors(exported)]
    files = [path for each in behind for path in sorted(graph.folder(each).rglob("*"))]
    files += [*sorted(platform.bento.rglob("*")), *platform.store.root.glob("raw_images/*.dvc"),
              *platform.home.glob("journal/*/predictions-*.jsonl"),
              platform.home / "serving" / "state.json"]
    files = [path for path in files if path.is_file()]
    assert {path.suffix for path in files} >= {".parquet", ".npy", ".onnx", ".jsonl", ".dvc"}
    assert mlops("verify", prediction).exit_code == 0
    chance = random.Random(8)
    for _ in range(100):
        path = chance.choice(files)
        with changed(path, flipped(path, chance)):
            found = mlops("verify", prediction)
            # A record that can not be found any more is no record of this id.
            assert found.exit_code == 1, (path, found.output)
    assert mlops("verify", prediction).exit_code == 0


def test_one_thing_and_its_ancestors_alone_are_checked(platform: SmallPlatform) -> None:
    image = sha256_bytes(platform.images[0])
    prediction = platform.predictions[0].answer.prediction_id
    ids = {
        "model": platform.card.program_sha256, "version": platform.exported.version[:8],
        "bento": platform.tag, "registered": "classifier/1", "prediction": prediction,
        "image": image, "dataset": platform.store.pin("dataset").version,
    }
    shards = platform.store.path(platform.store.pin("training_shards")) / "train-images.npy"
    weights = platform.store.path(platform.store.pin("trained_model")) / "weights.safetensors"
    raw = next(platform.store.path(platform.store.pin("raw_images", "initial")).glob("images-*"))
    for text in ids.values():
        assert mlops("verify", text).exit_code == 0, text
        with changed(raw, flipped(raw, random.Random(2))):
            assert mlops("verify", text).exit_code == 1, text
    for path in (shards, weights):
        with changed(path, flipped(path, random.Random(3))):
            for kind, text in ids.items():
                whole = kind in ("image", "dataset")
                assert mlops("verify", text).exit_code == (0 if whole else 1), (kind, path)


def test_a_damaged_bento_is_found_by_prediction(platform: SmallPlatform) -> None:
    path = platform.bento / "src" / "model" / "model.onnx"
    with changed(path, flipped(path, random.Random(4))):
        assert_found(path, platform.predictions[0].answer.prediction_id)


def test_an_image_whose_bytes_do_not_have_its_hash_is_found(
    platform: SmallPlatform, tmp_path: Path
) -> None:
    """A snapshot that lies from the start: record, version and DVC agree with the wrong bytes."""
    import pyarrow.parquet as pq

    from mlops_assets.lineage.graph import load_graph
    from mlops_assets.lineage.verification import check_image

    shutil.copytree(platform.home / "store", tmp_path / "store")
    store = type(platform.store)(tmp_path / "store")
    path = next(store.path(store.pin("raw_images", "initial")).glob("images-*"))
    table = pq.read_table(path)
    contents = [b"wrong" + content.as_py() for content in table.column("content")]
    pq.write_table(table.set_column(4, table.schema.field(4), [contents]), path)
    image = sha256_bytes(platform.images[0])
    damages = [damage for each in check_image(load_graph(store), image) for damage in each.damages]
    assert [damage.path for damage in damages] == [path]
