"""The artifact store: whole or not at all, and damage is named."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from mlops_assets.contracts.summary import Summary
from mlops_assets.provenance.hashing import RECORD_FILE, SUMMARY_FILE, sha256_bytes
from mlops_assets.provenance.record import InputRef, ProvenanceRecord
from resources.durable import write_bytes
from resources.store import ArtifactStore, DamagedArtifact, MissingArtifact
from tests.small_store import Home

FILES = {"a.bin": b"first", "deep/b.bin": b"second"}


@pytest.fixture
def home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    return Home(tmp_path)


def test_version_lies_under_its_hash_with_record_and_summary(home: Home) -> None:
    ref = home.source("images", FILES)
    record = home.store.verify(ref)
    assert set(record.files) == set(FILES)
    assert home.store.path(ref).name == record.version == ref.version
    assert home.store.summary(ref).values == {"files": 2}
    assert home.store.record("images", record.sha256) == record


def test_pin_follows_the_reference_and_names_what_is_missing(home: Home) -> None:
    assert home.store.current("images") is None
    with pytest.raises(MissingArtifact, match="`images` is not materialized yet"):
        home.store.pin("images")
    with pytest.raises(MissingArtifact, match=r"partition `day one`"):
        home.store.pin("images", "day one")
    first = home.source("images", FILES)
    second = home.source("images", {"a.bin": b"other"})
    assert home.store.pin("images") == second != first
    home.store.set_current(first)
    assert home.store.pin("images") == first


def test_every_partition_is_pinned_in_order(home: Home) -> None:
    keys = ["2026-01-02-00:00", "a/b", "é", "plain", "_"]
    for key in keys:
        home.source("images", {"a.bin": key.encode()}, partition=key)
    assert [ref.partition for ref in home.store.pin_all("images")] == sorted(keys)
    assert home.store.pin_all("absent") == []


def test_a_version_that_is_not_there_can_not_be_current(home: Home) -> None:
    with pytest.raises(MissingArtifact, match="has no version"):
        home.store.set_current(InputRef(asset="images", version="0" * 64))
    with pytest.raises(MissingArtifact, match="has no version"):
        home.store.verify(InputRef(asset="images", version="0" * 64))


@pytest.mark.parametrize("name", [*FILES, SUMMARY_FILE, RECORD_FILE])
def test_verify_names_the_changed_file(home: Home, name: str) -> None:
    ref = home.source("images", FILES)
    path = home.store.path(ref) / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=rf"{name}.*materialize `images` again"):
        home.store.verify(ref)
    path.unlink()
    with pytest.raises(DamagedArtifact, match=rf"{name}.*is missing"):
        home.store.verify(ref)


def test_verify_names_what_does_not_belong(home: Home) -> None:
    ref = home.source("images", FILES)
    extra = home.store.path(ref) / "extra"
    extra.write_text("new")
    with pytest.raises(DamagedArtifact, match="extra does not belong"):
        home.store.verify(ref)
    extra.unlink()
    extra.symlink_to("a.bin")
    with pytest.raises(DamagedArtifact, match="extra is a symbolic link"):
        home.store.verify(ref)


def test_a_whole_artifact_under_another_name_is_damage(home: Home) -> None:
    ref = home.source("images", FILES)
    wrong = ref.model_copy(update={"version": "0" * 64})
    home.store.path(ref).rename(home.store.path(wrong))
    with pytest.raises(DamagedArtifact, match="is of another artifact"):
        home.store.verify(wrong)


def test_content_with_a_record_to_match_is_damage_under_the_old_version(home: Home) -> None:
    """A record rewritten with its own hash is caught by the version, which the files must give."""
    ref = home.source("images", FILES)
    folder, record = home.store.path(ref), home.store.verify(ref)
    (folder / "a.bin").write_bytes(b"forged")
    forged = {**record.files, "a.bin": sha256_bytes(b"forged")}
    (folder / RECORD_FILE).write_bytes(record.model_copy(update={"files": forged}).to_bytes())
    with pytest.raises(DamagedArtifact, match="do not give this version"):
        home.store.verify(ref)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version":7}', b"\xff", b'"version"'])
def test_a_damaged_reference_is_named(home: Home, content: bytes) -> None:
    home.source("images", FILES)
    path = home.store.root / "images" / "refs" / "_.json"
    path.write_bytes(content)
    with pytest.raises(DamagedArtifact, match=r"refs/_\.json is damaged; materialize `images`"):
        home.store.current("images")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a":7}', b'{"a":[]}', b"\xff", b"null"])
def test_a_damaged_memo_is_named(home: Home, content: bytes) -> None:
    write_bytes(home.store.root / ".steps" / "key.json", content)
    with pytest.raises(DamagedArtifact, match=r"key\.json is damaged; delete it"):
        home.store.recall("key")


def test_a_damaged_kept_record_is_named(home: Home) -> None:
    record = home.store.verify(home.source("images", FILES))
    path = home.store.root / "images" / "records" / f"{record.sha256}.json"
    other = path.with_stem("0" * 64)
    other.write_bytes(path.read_bytes())
    with pytest.raises(DamagedArtifact, match="holds another record"):
        home.store.record("images", "0" * 64)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedArtifact, match=record.sha256):
        home.store.record("images", record.sha256)
    path.unlink()
    with pytest.raises(MissingArtifact, match="has no record"):
        home.store.record("images", record.sha256)


def test_committing_again_keeps_a_whole_version_and_replaces_a_damaged_one(home: Home) -> None:
    ref = home.source("images", FILES)
    target = home.store.path(ref)
    inode = target.stat().st_ino
    commit(home.store, home.store.verify(ref))
    assert target.stat().st_ino == inode
    (target / "a.bin").write_bytes(b"torn")
    commit(home.store, home.store.record("images", only_record(home.store).stem))
    home.store.verify(ref)
    (aside,) = (home.store.root / ".damaged").iterdir()
    assert (aside / "a.bin").read_bytes() == b"torn"


def commit(store: ArtifactStore, record: ProvenanceRecord) -> None:
    with store.scratch() as folder:
        for name, content in FILES.items():
            (folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "out" / name).write_bytes(content)
        store.commit(folder / "out", record, Summary(values={"files": 2}))


def only_record(store: ArtifactStore) -> Path:
    (path,) = (store.root / "images" / "records").iterdir()
    return path


def test_of_two_commits_of_one_version_the_second_finds_the_first(home: Home) -> None:
    """Forced: another thread commits between the look at the target and the rename onto it."""
    ref = home.source("images", FILES)
    record, target = home.store.verify(ref), home.store.path(ref)
    target.rename(home.folder / "away")
    armed = [target]

    def interleave(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and armed and arguments[1] == str(armed[0]):
            armed.clear()
            other = threading.Thread(target=commit, args=(home.store, record))
            other.start()
            other.join()

    sys.addaudithook(interleave)
    commit(home.store, record)
    assert armed == []
    home.store.verify(ref)
