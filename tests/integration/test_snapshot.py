"""A snapshot of a working platform, put back elsewhere, is that platform."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.provenance.hashing import sha256_bytes
from mlops_assets.releases.bento import build_bento
from resources.journal import hours, read_hour
from resources.snapshot import CONTENT, MANIFEST, SnapshotError, create, restore
from tests.model_dir import encode, random_image, write_model_dir
from tests.running import ROOT, SPEC, Running, serving
from tests.small_platform import SmallPlatform, mlops

BODIES = [encode(random_image(number, SPEC)) for number in range(100)]
KIND = {"content-type": "image/png"}
REPLAYED = 1000


def send(service: Running, count: int) -> None:
    for number in range(count):
        answer = service.client.post("/v1/predict", content=BODIES[number % 100], headers=KIND)
        assert answer.status_code == 200


@pytest.mark.slow
def test_a_restored_snapshot_of_a_busy_service_gives_the_same_answers(tmp_path: Path) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)
    home = tmp_path / "one" / ".platform"
    tag = build_bento(tmp_path / "model", bentoml_home=home / "bentoml", project_root=ROOT).tag
    (home / "store").mkdir()
    settings = {"MLOPS_SERVICE_DETERMINISTIC": "true", "MLOPS_SERVICE_CACHE_ENTRIES": "0"}
    with serving(tag, home / "bentoml", tmp_path / "one", **settings) as service:
        send(service, REPLAYED)
        busy = threading.Thread(target=send, args=(service, 500))
        busy.start()
        create(home, tmp_path / "snapshot")
        busy.join()
    other = tmp_path / "two" / ".platform"
    restore(tmp_path / "snapshot", other, lambda _: None)
    records = [record for key in hours(other / "journal")
               for record in read_hour(other / "journal", key)[0]]
    assert len(records) >= REPLAYED
    assert len(records) < REPLAYED + 500
    by_hash = {sha256_bytes(body): body for body in BODIES}
    with serving(tag, other / "bentoml", tmp_path / "two", **settings) as service:
        for record in records[:REPLAYED]:
            told = service.client.post(
                "/v1/predict", content=by_hash[record.image_sha256], headers=KIND).json()
            assert told["probabilities"] == record.answer.probabilities
            assert told["model"]["sha256"] == record.answer.model.sha256
        old = service.client.get(f"/v1/predictions/{records[0].answer.prediction_id}/receipt")
        assert old.json()["answer"] == records[0].answer.model_dump()


def test_a_restored_home_is_whole_and_knows_its_past(
    platform: SmallPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mlops("snapshot", "create", str(tmp_path / "snapshot"), "--json")
    assert made.exit_code == 0, made.output
    prediction = platform.predictions[0].answer.prediction_id
    before = mlops("lineage", prediction, "--json").stdout
    back = mlops("snapshot", "restore", str(tmp_path / "snapshot"), "--home",
                 str(tmp_path / "other"), "--json")
    assert json.loads(back.stdout)["files"] == json.loads(made.stdout)["files"] > 50
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "other"))
    found = mlops("verify")
    assert found.exit_code == 0, found.output
    assert mlops("lineage", prediction, "--json").stdout == before
    again = mlops("snapshot", "restore", str(tmp_path / "snapshot"), "--home",
                  str(tmp_path / "other"))
    assert again.exit_code == 1 and "is there already" in again.stderr


def small_home(folder: Path) -> Path:
    home = folder / "home"
    (home / "store" / "raw" / "v1").mkdir(parents=True)
    (home / "store" / "raw" / "v1" / "a.bin").write_bytes(b"a" * 5000)
    (home / "journal" / "hour").mkdir(parents=True)
    (home / "journal" / "hour" / "predictions-1.jsonl").write_bytes(b"{}\n{}\n{unfini")
    with closing(sqlite3.connect(home / "platform.db")) as database, database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (7)")
    (home / "logs").mkdir()
    (home / "logs" / "x.log").write_text("not kept")
    return home


def test_what_is_kept_and_what_is_not(tmp_path: Path) -> None:
    home = small_home(tmp_path)
    create(home, tmp_path / "snapshot")
    restore(tmp_path / "snapshot", tmp_path / "back", lambda _: None)
    assert (tmp_path / "back/journal/hour/predictions-1.jsonl").read_bytes() == b"{}\n{}\n"
    assert not (tmp_path / "back" / "logs").exists()
    with closing(sqlite3.connect(tmp_path / "back" / "platform.db")) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [(7,)]


def test_what_is_made_meanwhile_is_whole_in_the_copy(tmp_path: Path) -> None:
    home = small_home(tmp_path)
    (home / "platform.db").chmod(0o600)
    refs = home / "store" / "raw" / "refs"
    refs.mkdir()
    (refs / "_.json").write_text("v1")

    def commit(done: int, _: int) -> None:
        # A step ends while the first database is copied, and moves its reference.
        if done == 1:
            (home / "store" / "raw" / "v2").mkdir()
            (home / "store" / "raw" / "v2" / "a.bin").write_bytes(b"new")
            (refs / "_.json").write_text("v2")

    create(home, tmp_path / "snapshot", commit)
    restore(tmp_path / "snapshot", tmp_path / "back", lambda _: None)
    current = (tmp_path / "back/store/raw/refs/_.json").read_text()
    assert (tmp_path / "back/store/raw" / current / "a.bin").is_file()
    assert (tmp_path / "back" / "platform.db").stat().st_mode & 0o777 == 0o600
    (home / "store" / "other").symlink_to(tmp_path)
    with pytest.raises(SnapshotError, match="is a link"):
        create(home, tmp_path / "second")


def test_a_bad_place_or_a_damaged_snapshot_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = small_home(tmp_path)
    with pytest.raises(SnapshotError, match="in the home itself"):
        create(home, home / "snapshot")
    with pytest.raises(SnapshotError, match="no platform"):
        create(tmp_path / "nowhere", tmp_path / "snapshot")
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://x")
    with pytest.raises(SnapshotError, match="database server"):
        create(home, tmp_path / "snapshot")
    monkeypatch.delenv("MLOPS_DATABASE_URL")
    with pytest.raises(SnapshotError, match="no whole snapshot"):
        restore(tmp_path / "snapshot", tmp_path / "back", lambda _: None)
    create(home, tmp_path / "snapshot")
    path = tmp_path / "snapshot" / CONTENT / "store/raw/v1/a.bin"
    path.write_bytes(b"b" + path.read_bytes()[1:])
    with pytest.raises(SnapshotError, match="damaged"):
        restore(tmp_path / "snapshot", tmp_path / "back", lambda _: None)
    manifest = tmp_path / "snapshot" / MANIFEST
    manifest.write_text(manifest.read_text().replace("store/raw", "../../raw"))
    with pytest.raises(SnapshotError, match="outside of itself"):
        restore(tmp_path / "snapshot", tmp_path / "back", lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "snapshot"]


@pytest.mark.parametrize("what", ["create", "restore"])
def test_a_kill_at_any_write_point_leaves_nothing_or_all(tmp_path: Path, what: str) -> None:
    create(small_home(tmp_path), tmp_path / "snapshot")
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.kill_snapshot", str(tmp_path), what],
        capture_output=True, text=True, check=True, cwd=ROOT)
    points = [json.loads(line) for line in done.stdout.splitlines()]
    assert points[-1]["what"] == "survived" and points[-1]["code"] == 0, done.stderr
    assert len(points) > 15
    whole = [tmp_path / f"target-{point['n']}" for point in points
             if (tmp_path / f"target-{point['n']}").exists()]
    assert whole and whole[-1].name == f"target-{points[-1]['n']}"
    for target in whole:
        if what == "create":
            restore(target, tmp_path / f"of-{target.name}", lambda _: None)
        names = {path.name for path in target.rglob("*") if path.is_file()}
        assert {"a.bin", "predictions-1.jsonl", "platform.db"} <= names
    # The next attempt at the same place sweeps up what the kill left.
    first = tmp_path / "target-0"
    assert not first.exists()
    create(tmp_path / "home", first)
    assert not list(tmp_path.glob(".target-0.new-*"))
