"""Scoring a folder: every file is answered or named, once, whatever happens meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.errors import FolderError
from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.model_card import read_card
from mlops_assets.contracts.pixels import decode_pixels
from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from mlops_assets.models.programs import run_program
from mlops_assets.monitoring.scoring import PREDICTIONS_FILE, serving_model
from mlops_assets.provenance.hashing import canonical_json, digest_files, sha256_bytes
from resources.folders import (
    Folder,
    Kept,
    LocalFolder,
    list_files,
    open_folder,
)
from resources.store import MissingArtifact
from tests.graph import Graph, explain
from tests.integration.scoring_home import SETTINGS, SPEC, ScoringHome
from tests.model_dir import CLASSES, encode, random_image

IMAGES = 300
BOMB = (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (60_000).to_bytes(4) * 2
        + b"\x08\x00\x00\x00\x00" + bytes(4))


@pytest.fixture
def images(tmp_path: Path, digits: Path) -> Path:
    """Digits in folders of their own, and files that are no image."""
    root = tmp_path / "images" / "new"
    for path in sorted(digits.glob("*/*.png"))[:: 1797 // IMAGES][:IMAGES]:
        place = root / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScoringHome:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    home = ScoringHome(tmp_path / "scoring")
    home.export()
    return home


class Counting:
    """A folder that counts what is read of it."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.reads = folder, 0

    def paths(self) -> list[str]:
        return self.folder.paths()

    def read(self, path: str) -> bytes:
        self.reads += 1
        return self.folder.read(path)


def rows(home: ScoringHome, version: str) -> pa.Table:
    return pq.read_table(home.store.root / "batch_predictions" / version / PREDICTIONS_FILE)


def test_every_image_is_answered_as_the_program_answers(home: ScoringHome, images: Path) -> None:
    result = home.score(LocalFolder(images))
    table = rows(home, result.ref.version)
    paths = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    assert table["path"].to_pylist() == paths
    contents = [(images / path).read_bytes() for path in paths]
    assert table["image_sha256"].to_pylist() == [sha256_bytes(content) for content in contents]
    model = home.store.path(home.store.pin("exported_model"))
    pixels = np.stack([decode_pixels(content, SPEC) for content in contents])
    wanted, _ = run_program(model, pixels, threads=1)
    np.testing.assert_allclose(np.stack(table["probabilities"].to_numpy()), wanted, atol=1e-6)
    assert table["label"].to_pylist() == [CLASSES[best] for best in wanted.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"].to_numpy(), wanted.max(axis=1), atol=1e-6)
    assert set(table["model_version"].to_pylist()) == {read_card(model).version}
    assert table["error"].null_count == len(paths)
    assert table.schema.metadata[b"classes"] == canonical_json(CLASSES)
    (check,) = result.summary.checks
    assert (check.name, check.passed, check.blocking) == ("all_scored", True, False)


def test_what_is_no_image_is_a_row_with_its_reason(home: ScoringHome, images: Path) -> None:
    good = encode(random_image(1, SPEC))
    wrong = {"a/empty.png": b"", "a/text.png": b"hello", "a/cut.png": good[:40],
             "a/bomb.png": BOMB, "zz.jpg": b"\xff\xd8\xff\xe0"}
    for name, content in wrong.items():
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(content)
    (images / ".hidden").write_bytes(b"x")
    (images / ".thumbnails").mkdir()
    (images / ".thumbnails" / "a.png").write_bytes(good)
    result = home.score(LocalFolder(images))
    table = rows(home, result.ref.version)
    assert table.num_rows == IMAGES + len(wrong)
    failed = {row["path"]: row for row in table.to_pylist() if row["error"] is not None}
    assert set(failed) == set(wrong)
    for name, row in failed.items():
        assert row["image_sha256"] == sha256_bytes(wrong[name])
        assert (row["label"], row["confidence"], row["probabilities"]) == (None, None, None)
    assert "0 bytes" in failed["a/empty.png"]["error"]
    assert "60000 x 60000 pixels" in failed["a/bomb.png"]["error"]
    (check,) = result.summary.checks
    assert not check.passed
    assert check.details == {"errors": 5, "rows": IMAGES + 5}
    assert {row["path"] for row in result.summary.tables["undecodable"]} == set(wrong)


def test_a_folder_without_a_single_image_is_all_rows_with_reasons(
    home: ScoringHome, tmp_path: Path
) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(40):
        (tmp_path / "texts" / f"{number}.txt").write_text("text")
    table = rows(home, home.score(LocalFolder(tmp_path / "texts")).ref.version)
    assert table["error"].null_count == 0
    assert table["probabilities"].null_count == table.num_rows == 40


@pytest.mark.parametrize("threads", [1, 5])
def test_threads_do_not_change_the_bytes(
    home: ScoringHome, images: Path, tmp_path: Path, threads: int
) -> None:
    (images / "broken.png").write_bytes(b"x")
    first = home.score(LocalFolder(images))
    other = ScoringHome(tmp_path / "other")
    other.export()
    again = other.score(LocalFolder(images), SETTINGS.model_copy(update={"threads": threads}))
    assert again.ref.version == first.ref.version


def test_unchanged_content_is_reused_wherever_it_lies(
    home: ScoringHome, images: Path, tmp_path: Path
) -> None:
    first = home.score(LocalFolder(images))
    moved = tmp_path / "elsewhere"
    shutil.copytree(images, moved)
    assert home.score(LocalFolder(moved)).reused
    (moved / "one-more.png").write_bytes(encode(random_image(1, SPEC)))
    changed = home.score(LocalFolder(moved))
    assert not changed.reused
    assert rows(home, changed.ref.version).num_rows == IMAGES + 1
    home.export(seed=1)
    assert home.score(LocalFolder(images)).ref.version != first.ref.version


@pytest.mark.parametrize("kill_at", [0, 1, 5, 6])
def test_a_killed_scoring_goes_on_from_the_last_whole_chunk(
    home: ScoringHome, images: Path, tmp_path: Path, kill_at: int
) -> None:
    whole = ScoringHome(tmp_path / "whole")
    whole.export()
    wanted = whole.score(LocalFolder(images)).ref
    command = [sys.executable, "-m", "tests.integration.scoring_home", str(home.folder),
               str(images), str(kill_at)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert home.store.current("batch_predictions", "new") is None
    assert len(list(home.work.glob("*/[0-9]*.parquet"))) == kill_at
    counting = Counting(LocalFolder(images))
    result = home.score(counting)
    assert counting.reads == 2 * IMAGES - kill_at * SETTINGS.chunk_images
    assert result.ref.version == wanted.version
    assert digest_files(home.store.path(result.ref)) == digest_files(whole.store.path(wanted))


def test_what_fits_is_fetched_once(home: ScoringHome, images: Path) -> None:
    plain = home.score(LocalFolder(images))
    held = 100 * max(path.stat().st_size for path in images.rglob("*.png"))
    for budget, least, most in ((1 << 30, IMAGES, IMAGES), (0, 2 * IMAGES, 2 * IMAGES),
                                (held, IMAGES + 1, 2 * IMAGES - 100)):
        counting = Counting(LocalFolder(images))
        again = home.score(Kept(counting, budget=budget), partition=f"kept-{budget}")
        assert not again.reused
        assert again.ref.version == plain.ref.version
        assert least <= counting.reads <= most


def test_a_file_that_changes_meanwhile_stops_the_step(home: ScoringHome, images: Path) -> None:
    victim = sorted(images.rglob("*.png"))[200]

    class Changing(Counting):
        def read(self, path: str) -> bytes:
            if self.reads == IMAGES:
                victim.write_bytes(b"other")
            return super().read(path)

    name = victim.relative_to(images).as_posix()
    with pytest.raises(FolderError, match=f"`{name}` changed while the folder was scored"):
        home.score(Changing(LocalFolder(images)))
    assert home.store.current("batch_predictions", "new") is None


def test_any_fsspec_url_is_a_folder(home: ScoringHome, images: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(f"{images}/", "/bucket/new/", recursive=True)
    memory.pipe("/bucket/new/.hidden/a.png", b"x")
    try:
        folder = open_folder("memory://bucket", "new", base=images, setting="x")
        local = home.score(LocalFolder(images))
        assert list_files(folder, threads=2) == list_files(LocalFolder(images), threads=2)
        assert home.score(folder).reused
        assert not home.score(folder, partition="other").reused
        assert rows(home, local.ref.version).num_rows == IMAGES
        with pytest.raises(FolderError, match="there is no memory://bucket/old"):
            open_folder("memory://bucket", "old", base=images, setting="x")
    finally:
        memory.rm("/bucket", recursive=True)
    with pytest.raises(FolderError, match=r"nowhere://x/new can not be opened: .*not known"):
        open_folder("nowhere://x", "new", base=images, setting="x")


def test_folders_that_can_not_be_scored_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, told in ((".", "no name of a folder"), ("..", "no name of a folder"),
                       ("a/b", "no name of a folder"), ("none", f"there is no folder {tmp_path}")):
        with pytest.raises(FolderError, match=told):
            open_folder(str(tmp_path), name, base=tmp_path, setting="x")
    with pytest.raises(FolderError, match="holds no file"):
        list_files(open_folder(str(tmp_path), "empty", base=tmp_path, setting="x"),
                   threads=1)
    (tmp_path / "empty" / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FolderError, match=r"`gone\.png` can not be read"):
        list_files(LocalFolder(tmp_path / "empty"), threads=1)


def test_a_local_folder_lists_plain_files_and_links_to_them(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "1.png").write_bytes(b"1" * 100_000)
    (root / "a.png").write_bytes(b"")
    (root / "link.png").symlink_to(root / "a.png")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "fifo.png")
    folder = LocalFolder(root)
    assert folder.paths() == ["a.png", "a/b/1.png", "link.png"]
    assert [len(folder.read(path)) for path in folder.paths()] == [0, 100_000, 0]


def test_names_that_are_no_text_are_scored_and_shown(home: ScoringHome, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    name = os.fsencode(folder) + b"/caf\xe9.png"
    Path(os.fsdecode(name)).write_bytes(encode(random_image(1, SPEC)))
    table = rows(home, home.score(LocalFolder(folder)).ref.version)
    assert table["path"].to_pylist() == ["caf\\xe9.png"]
    assert table["label"][0].is_valid


def test_the_serving_champion_scores_and_no_later_candidate(home: ScoringHome) -> None:
    place = home.folder / "home"
    first = home.store.pin("exported_model")
    assert serving_model(home.store, place) == first
    card = read_card(home.store.path(first))
    champion = SlotAssignment(model_version=card.version, bento_tag="classifier:a", weight=1.0)
    state = RolloutState(revision=1, changed_at=datetime(2026, 11, 24, tzinfo=UTC),
                         slots={"champion": champion})
    (place / SERVING_FILE).parent.mkdir()
    (place / SERVING_FILE).write_text(state.model_dump_json())
    later = home.export(seed=1)
    assert home.store.pin("exported_model") == later
    assert serving_model(home.store, place) == first
    shutil.rmtree(home.store.path(first))
    with pytest.raises(MissingArtifact, match=r"champion .* is not among"):
        serving_model(home.store, place)


def test_without_a_model_there_is_nothing_to_score_with(tmp_path: Path) -> None:
    empty = ScoringHome(tmp_path / "empty")
    with pytest.raises(MissingArtifact, match="exported_model"):
        serving_model(empty.store, tmp_path)


def test_dagster_scores_a_folder_as_a_partition(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph(tmp_path / "graph")
    monkeypatch.setenv("PLATFORM_HOME", str(graph.home))
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    monkeypatch.setenv("MLOPS__SCORING__ROOT", str(images.parent))
    home = ScoringHome(tmp_path / "made")
    exported = home.export()
    shutil.copytree(home.store.root, graph.store.root, dirs_exist_ok=True)
    (images / "broken.png").write_bytes(b"x")
    graph.instance.add_dynamic_partitions("scoring", ["new", "none"])
    selection = dg.AssetSelection.assets("batch_predictions")
    result = graph.run(selection, "new")
    assert result.success, explain(result)
    (ref,) = graph.store.pin_all("batch_predictions")
    record = graph.store.verify(ref)
    assert record.inputs == [exported]
    assert record.config["files"] == IMAGES + 1
    assert graph.latest("batch_predictions").tags["dagster/data_version"] == ref.version
    assert graph.value("batch_predictions", "dagster/row_count") == IMAGES + 1
    assert graph.value("batch_predictions", "errors") == 1
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("all_scored", False)
    assert not (graph.home / "work").exists() or not list((graph.home / "work").iterdir())
    again = graph.run(selection, "new")
    assert again.success
    assert graph.value("batch_predictions", "reused") is True
    missing = graph.run(selection, "none")
    assert not missing.success
    assert "there is no folder" in explain(missing)
    graph.instance.dispose()
