"""Images in S3: moto's server, its own process, over HTTP; the same graph as for a folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import fsspec
import pytest

from mlops_assets.config import load_settings
from mlops_assets.contracts.errors import FolderError
from mlops_assets.raw.labelled import open_source
from mlops_assets.raw.snapshot import read_batches
from resources.dvc import DvcRepository
from resources.folders import open_root
from resources.landing import look, read_record
from sensors.landing import build_landing_sensor
from tests.digits import write_digits
from tests.graph import Graph, explain, set_digits
from tests.s3_server import moto_server

pytestmark = pytest.mark.slow
DATA = dg.AssetSelection.assets("raw_images", "validated_images", "quarantined_images")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a running S3 server with the bucket ``photos``."""
    with moto_server() as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The file system of an empty bucket; settings and credentials as a user gives them."""
    for name, value in {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests",
                        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": s3,
                        "AWS_CONFIG_FILE": str(tmp_path / "none"),
                        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    system = fsspec.filesystem("s3")
    system.mkdir("photos")
    yield system
    system.rm("photos", recursive=True)


def upload(system: Any, folder: Path, place: str) -> None:
    system.put([str(path) for path in sorted(folder.glob("*/*"))],
               [f"{place}/{path.relative_to(folder)}" for path in sorted(folder.glob("*/*"))])


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    return Graph(tmp_path / "home")


def test_a_bucket_gives_the_snapshot_that_a_folder_gives(
    bucket: Any, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_digits(tmp_path / "images", per_class=12)
    upload(bucket, folder, "photos/own")
    set_digits(monkeypatch, folder)
    local = graph.run(DATA)
    assert local.success, explain(local)
    version = graph.store.pin("raw_images", "initial").version
    set_digits(monkeypatch, folder, DATASET__ROOT="s3://photos/own")
    remote = graph.run(DATA)
    assert remote.success, explain(remote)
    assert graph.store.pin("raw_images", "initial").version == version
    another = min((folder / "digit-1").iterdir())
    bucket.pipe("photos/own/digit-0/more.png", another.read_bytes())
    assert graph.run(DATA).success
    assert graph.store.pin("raw_images", "initial").version != version


def test_a_missing_or_refused_bucket_is_a_clear_error(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FolderError, match=r"there is no s3://nowhere/x; see `root`"):
        open_root("s3://nowhere/x", base=Path(), setting="`root`")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(FolderError, match=r"can not be opened: .*redentials"):
        open_root("s3://photos/own", base=Path(), setting="`root`")
    assert bucket


def test_folders_that_land_in_a_bucket_become_batches(
    bucket: Any, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_digits(tmp_path / "images", per_class=12)
    set_digits(monkeypatch, folder, LANDING__ROOT="s3://photos/landing",
               LANDING__QUIET_SECONDS="0")
    upload(bucket, folder, "photos/landing/may")
    bucket.pipe("photos/landing/may/_SUCCESS", b"")
    settings = load_settings().landing
    sensor = build_landing_sensor(
        partial(look, settings, graph.home, tmp_path, load_settings().dataset),
        partitions=dg.DynamicPartitionsDefinition(name="batch"), interval_seconds=5)

    def tick() -> list[str | None]:
        with dg.build_sensor_context(instance=graph.instance, cursor="{}") as context:
            found = sensor(context)
        assert isinstance(found, dg.SensorResult)
        for request in found.dynamic_partitions_requests or []:
            graph.instance.add_dynamic_partitions("batch", list(request.partition_keys))
        return [request.partition_key for request in found.run_requests or []]

    assert tick() == ["may"]
    done = graph.run(DATA, partition="may")
    assert done.success, explain(done)
    assert len(read_record(graph.home, "may") or {}) == 120
    assert tick() == []
    bucket.pipe("photos/landing/may/digit-0/late.png", b"no image")
    assert tick() == ["may.2"]
    done = graph.run(dg.AssetSelection.assets("raw_images"), partition="may.2")
    assert done.success, explain(done)
    late = graph.store.path(graph.store.pin("raw_images", "may.2"))
    assert [row["source"] for batch in read_batches(late) for row in batch.to_pylist()] == [
        "digit-0/late.png"]
    # Cleaned up after it was taken: the batch stands, and is made again from the store.
    bucket.rm("photos/landing/may", recursive=True)
    again = graph.run(dg.AssetSelection.assets("raw_images"), partition="may")
    assert again.success, explain(again)
    assert tick() == []


def test_dvc_pushes_to_a_bucket_and_brings_a_version_back(
    bucket: Any, s3: str, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_digits(monkeypatch, write_digits(tmp_path / "images", per_class=12))
    assert graph.run(DATA).success
    ref = graph.store.pin("raw_images", "initial")
    dvc = DvcRepository(graph.store.root)
    dvc.run("remote", "add", "--default", "s3", "s3://photos/dvc")
    dvc.run("remote", "modify", "s3", "endpointurl", s3)
    dvc.run("push", "--quiet")
    for path in graph.store.path(ref).iterdir():
        path.unlink()
    shutil.rmtree(graph.store.root / ".dvc" / "cache")
    dvc.run("pull", "--quiet", "--force", f"raw_images/{ref.version}.dvc")
    assert graph.store.verify(ref)
    assert len(bucket.find("photos/dvc")) < 20, "a few large files, not one an image"


def test_classes_of_a_bucket_are_its_folders(bucket: Any, tmp_path: Path) -> None:
    upload(bucket, write_digits(tmp_path / "images", per_class=2), "photos/own")
    settings = load_settings().dataset.model_copy(
        update={"source": "image_folder", "root": "s3://photos/own"})
    source = open_source(settings)
    assert len(source.classes) == 10
    assert len(list(source.images())) == 20
