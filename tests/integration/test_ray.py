"""One huge batch on a Ray cluster: the same bytes as in one process, by one line of config."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from mlops_assets.config import (
    ComputeSettings,
    DatasetSettings,
    FeatureSettings,
    ValidationSettings,
)
from mlops_assets.contracts.errors import FolderError
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.features.embeddings import build_embeddings
from mlops_assets.raw.build import build_snapshot, describe_source
from mlops_assets.validated.build import build_validated
from resources.engine import Engine, EngineError, Threads, build_engine
from resources.folders import Kept, LocalFolder
from resources.steps import Step
from tests.integration.scoring_home import SPEC, ScoringHome
from tests.model_dir import encode, random_image
from tests.running import free_port
from tests.small_platform import BATCH, write_images
from tests.small_store import Home

pytestmark = pytest.mark.slow
PIXELS = PixelSpec(height=32, width=32, channels=1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of one machine, which somebody else has started."""
    import ray

    # Paths of its sockets must be short.
    folder = Path("/tmp", f"ray-{os.getpid()}")
    port = free_port()
    log = tmp_path_factory.mktemp("ray") / "log"
    with log.open("wb") as out:
        head = subprocess.Popen(
            [Path(sys.executable).parent / "ray", "start", "--head", "--block",
             "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2",
             "--include-dashboard=false", "--disable-usage-stats",
             "--object-store-memory=200000000", f"--temp-dir={folder}"],
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    address = f"127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while "--block" not in log.read_text():
        assert head.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    yield address
    ray.shutdown()
    # Its programs are in groups of their own.
    programs = [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]
    for program in programs:
        with suppress(psutil.NoSuchProcess):
            program.kill()
    head.wait(30)
    psutil.wait_procs(programs, timeout=30)
    shutil.rmtree(folder, ignore_errors=True)


def ingested(home: Home, images: Path, engine: Engine) -> list[str]:
    """Versions of what is made of a folder of images."""
    settings = DatasetSettings(source="image_folder", root=str(images), pixels=PIXELS)
    made = [
        *home.run(Step("raw", ("raw_images",), config=describe_source(settings)),
                  partial(build_snapshot, settings), partition=BATCH),
        *home.run(Step("validated", ("validated_images", "quarantined_images"),
                       inputs={"raw_images": "same-partition"}),
                  partial(build_validated, ValidationSettings(), engine=engine), partition=BATCH),
        *home.run(Step("features", ("embeddings",), inputs={
            "raw_images": "same-partition", "validated_images": "same-partition"}),
                  partial(build_embeddings, FeatureSettings(batch_size=7), PIXELS, engine=engine,
                          seed=3, threads=1), partition=BATCH)]
    assert not any(each.reused for each in made)
    return [each.ref.version for each in made]


def test_a_cluster_gives_the_bytes_that_one_process_gives(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    engine = build_engine(ComputeSettings(engine="ray", address=cluster), threads=1)
    write_images(tmp_path / "images")
    (tmp_path / "images" / "coat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    here = ingested(Home(tmp_path / "here"), tmp_path / "images", Threads(2))
    there = ingested(Home(tmp_path / "there"), tmp_path / "images", engine)
    assert here == there

    folder = tmp_path / "new"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:03d}.png").write_bytes(encode(random_image(number, SPEC)))
    home = ScoringHome(tmp_path / "scoring")
    home.export()
    scored = [home.score(Kept(LocalFolder(folder)), partition=name, engine=each).ref.version
              for name, each in (("a", Threads(2)), ("b", engine))]
    assert scored[0] == scored[1]


def test_an_error_on_the_cluster_is_the_error_here(cluster: str) -> None:
    engine = build_engine(ComputeSettings(engine="ray", address=cluster), threads=1)

    def failing() -> object:
        def work(piece: int) -> int:
            if piece == 3:
                raise FolderError("three")
            return piece
        return work

    with pytest.raises(FolderError, match="three"):
        list(engine.run(failing, range(10)))  # type: ignore[arg-type]


def test_a_cluster_that_is_away_is_named(cluster: str) -> None:
    import ray

    ray.shutdown()
    assert cluster
    for address in (f"127.0.0.1:{free_port()}", "nowhere.invalid:6379"):
        away = build_engine(ComputeSettings(engine="ray", address=address), threads=1)
        with pytest.raises(EngineError, match="there is no Ray cluster at"):
            next(away.run(lambda: str, [1]))
