"""The copy of the store behind a URL: complete when a reference moves, and the way back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlops_assets.provenance.hashing import RECORD_FILE
from resources.data_services import ARTIFACTS, ServiceAddressError, artifacts_url
from resources.dvc import DvcRepository
from resources.remote_copy import HomeInUse, pull_all, push_all
from resources.remote_store import RemoteStore, RemoteStoreError
from resources.steps import Step
from resources.store import ArtifactStore, DamagedArtifact, open_store
from tests.small_store import Home, filler

STEP = Step("raw", ("raw_images",), config={"n": 1})


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands behind the URL; fsspec reads it as it reads a bucket."""
    monkeypatch.setenv(ARTIFACTS, f"file://{tmp_path / 'bucket'}")
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "0" * 40)
    return tmp_path / "bucket"


def make(folder: Path, content: bytes = b"bytes") -> Home:
    """A home with one artifact; its store has the remote of the environment."""
    home = Home(folder)
    home.store = open_store(folder / "home")
    home.run(STEP, filler("raw_images", {"deep/a.bin": content, "b.bin": b"b"}))
    return home


def test_what_is_current_is_in_the_bucket(tmp_path: Path, bucket: Path) -> None:
    store = make(tmp_path / "home").store
    ref = store.pin("raw_images")
    copy = bucket / "store" / "raw_images" / ref.version
    assert sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*")
                  if path.is_file()) == sorted(
        path.relative_to(store.path(ref)).as_posix() for path in store.path(ref).rglob("*")
        if path.is_file())
    assert (bucket / "store" / "raw_images" / "refs" / "_.json").is_file()
    assert list((bucket / "store" / ".steps").iterdir())


def test_a_missing_version_comes_back_checked(tmp_path: Path, bucket: Path) -> None:
    store = make(tmp_path / "home").store
    ref = store.pin("raw_images")
    shutil.rmtree(store.root / "raw_images" / ref.version)
    store.verify(ref)
    shutil.rmtree(store.root / "raw_images" / ref.version)
    (bucket / "store" / "raw_images" / ref.version / "b.bin").write_bytes(b"x")
    with pytest.raises(DamagedArtifact, match=r"b\.bin"):
        store.path(ref)
    assert not (store.root / "raw_images" / ref.version).exists()


def test_a_refused_upload_leaves_the_reference(tmp_path: Path, bucket: Path) -> None:
    home = make(tmp_path / "home")
    before = home.store.pin("raw_images")
    shutil.move(bucket, tmp_path / "aside")
    bucket.write_text("no folder")
    with pytest.raises(RemoteStoreError, match=ARTIFACTS):
        home.run(Step("raw", ("raw_images",), config={"n": 2}),
                 filler("raw_images", {"a.bin": b"new"}))
    assert ArtifactStore(home.store.root).pin("raw_images") == before
    bucket.unlink()
    shutil.move(tmp_path / "aside", bucket)
    home.run(Step("raw", ("raw_images",), config={"n": 2}), filler("raw_images", {"a.bin": b"new"}))
    now = home.store.pin("raw_images")
    assert now != before
    assert (bucket / "store" / "raw_images" / now.version / RECORD_FILE).is_file()


def test_another_home_is_refused(tmp_path: Path, bucket: Path) -> None:
    make(tmp_path / "home")
    with pytest.raises(RemoteStoreError, match="another home"):
        make(tmp_path / "other", b"other")
    assert ArtifactStore(tmp_path / "other" / "home" / "store").current("raw_images") is None


def test_an_older_home_is_pushed_and_pulled(
    tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ARTIFACTS)
    old = make(tmp_path / "home").store
    tracked = DvcRepository(old.root)
    ref = old.pin("raw_images")
    tracked.track(old.path(ref))
    monkeypatch.setenv(ARTIFACTS, f"file://{bucket}")
    remote = RemoteStore(f"file://{bucket}")
    assert push_all(old.root, remote)["versions"] == 1
    # DVC's remote has the bytes, and only its pointer is beside the references.
    assert not (bucket / "store" / "raw_images" / ref.version).exists()
    assert (bucket / "store" / "raw_images" / f"{ref.version}.dvc").is_file()
    new = tmp_path / "new" / "store"
    assert pull_all(new, remote, content=True)["versions"] == 1
    again = open_store(tmp_path / "new")
    assert again.pin("raw_images") == ref
    again.verify(ref)
    with pytest.raises(HomeInUse, match="empty folder"):
        pull_all(new, remote, content=False)


def test_a_path_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ARTIFACTS, "/mnt/bucket")
    with pytest.raises(ServiceAddressError, match="must be a URL"):
        artifacts_url()
    monkeypatch.setenv(ARTIFACTS, "s3://bucket/x/")
    assert artifacts_url("dvc") == "s3://bucket/x/dvc"
