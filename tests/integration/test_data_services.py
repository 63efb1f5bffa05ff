"""The loop on PostgreSQL, Redis and S3 instead of embedded ones, while each of them goes away."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import httpx
import polars as pl
import pytest
import redis

from deploy.layout import Layout
from deploy.ports import Ports, recorded_ports
from deploy.supervisor import Supervisor
from mlops_assets.cli.runs import RunError, follow_run
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.files import PREDICTIONS_FILE
from resources.dagster_api import DagsterApi
from resources.data_services import ARTIFACTS, DAGSTER_DATABASE, MLFLOW_DATABASE, PLATFORM_DATABASE
from resources.dvc import SITE_CACHE
from resources.feature_store import ImageFeatureStore
from resources.journal import hours, journal_folder, read_hour
from resources.platform_db import PlatformDatabase
from resources.store import open_store
from tests.commands import run_mlops
from tests.digits import write_digits
from tests.graph import set_digits
from tests.postgres_server import Postgres, postgres_server
from tests.redis_server import Redis
from tests.s3_server import Forwarder, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PROGRAMS = ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE")
BUCKET = "platform"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass
class Running:
    """A platform on real data services, after its demo."""

    home: Path
    told: dict[str, Any]
    postgres: Postgres
    redis: Redis
    s3: Forwarder

    @property
    def ports(self) -> Ports:
        ports = recorded_ports(Layout(self.home).ports)
        assert ports is not None
        return ports

    def api(self) -> DagsterApi:
        return DagsterApi(f"http://127.0.0.1:{self.ports.dagster}")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("services")
    images = folder / "digits"
    write_digits(images)
    broker = Redis(folder, keep=True)
    with pytest.MonkeyPatch.context() as patch, postgres_server() as postgres, s3_server() as s3:
        set_digits(patch, images)
        for name in PROGRAMS:
            patch.setenv(f"MLOPS__PLATFORM__{name}_PORT", "0")
        broker.start()
        home = folder / "home"
        for name, value in {
            "PLATFORM_HOME": str(home), "MLOPS__PLATFORM__START_SECONDS": "300",
            "MLOPS__PLATFORM__MONITORING": "false",
            DAGSTER_DATABASE: postgres.create("dagster"),
            MLFLOW_DATABASE: postgres.create("mlflow"),
            PLATFORM_DATABASE: postgres.create("platform"),
            "MLOPS_SERVICE_REDIS_URL": broker.url,
            ARTIFACTS: f"s3://{BUCKET}/home",
            "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3.port}",
            "AWS_MAX_ATTEMPTS": "2", "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }.items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").mkdir(BUCKET)
        try:
            done = run_mlops("demo", "--profile", "demo", "--json", seconds=900)
            assert done.returncode == 0, done.stderr[-5000:]
            yield Running(home, json.loads(done.stdout), postgres, broker, s3)
        finally:
            Supervisor(Layout(home)).stop()
            broker.kill()


def test_nothing_is_embedded_any_more(platform: Running) -> None:
    assert platform.told["test_accuracy"] > 0.8
    assert not [path for path in platform.home.rglob("*")
                if path.suffix in {".db", ".sqlite"}
                and not {".dvc", SITE_CACHE, "prometheus_multiproc_dir"} & set(path.parts)]
    kept = fsspec.filesystem("s3").find(f"{BUCKET}/home")
    for part in ("store/dataset/refs/", "store/trained_model/", "store/.steps/", "dvc/files/",
                 "mlflow/"):
        assert any(f"/{part}" in name for name in kept), part
    # What DVC keeps is not kept a second time.
    assert not [name for name in kept if "store/raw_images/" in name and "images" in name[-20:]
                and not name.endswith((".dvc", ".json"))]
    with redis.Redis.from_url(platform.redis.url) as client:
        assert client.dbsize()


def test_features_are_read_online_from_redis(platform: Running) -> None:
    answered = read_hour(journal_folder(platform.home), hours(journal_folder(platform.home))[-1])[0]
    features = ImageFeatureStore(platform.home)
    assert features.place.name == "Redis"
    (image,) = features.online([answered[0].image_sha256])
    assert image.history is not None
    assert image.history["predicted_class"]
    trained = pl.read_parquet(next((platform.home / "store" / "image_features").glob(
        "*/features.parquet")), n_rows=1).row(0, named=True)
    (image,) = features.online([trained["image_id"]])
    assert image.features is not None
    assert image.features["embedding"] == pytest.approx(trained["embedding"])


def test_no_address_is_in_a_file_or_an_argument(platform: Running) -> None:
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "signs%40" not in shown
    for path in (platform.home / "run").rglob("*"):
        assert path.is_socket() or not path.is_file() or b"signs" not in path.read_bytes(), path
    assert "signs" not in (platform.home / "dagster" / "dagster.yaml").read_text()


class Traffic:
    """Predictions one after the other; ``answered`` are the ids of those with status 200."""

    def __init__(self, port: int, image: bytes) -> None:
        self.answered: list[str] = []
        self.refused: list[int] = []
        self._end = threading.Event()
        self._image, self._url = image, f"http://127.0.0.1:{port}/v1/predict"
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._end.is_set():
                answer = client.post(self._url, content=self._image,
                                     headers={"content-type": "image/png"})
                if answer.status_code == 200:
                    self.answered.append(answer.json()["prediction_id"])
                else:
                    self.refused.append(answer.status_code)
                time.sleep(0.02)

    def end(self) -> None:
        self._end.set()
        self._thread.join(60)


def _image() -> bytes:
    return next(Path(os.environ["MLOPS__DATASET__ROOT"]).rglob("*.png")).read_bytes()


def _hour(platform: Running) -> str:
    return hours(journal_folder(platform.home))[-1]


def _run(platform: Running, job: str, partition: str | None) -> None:
    """One run to its end; raises when it fails or can not be followed."""
    with closing(platform.api()) as api:
        follow_run(api, api.launch(job, partition), lambda _: None)


def _succeeds(platform: Running, job: str, partition: str | None, *, within: float = 300) -> None:
    """A run that a person starts again until it succeeds, as after an outage."""
    until = time.monotonic() + within
    while True:
        try:
            return _run(platform, job, partition)
        except (PlatformError, httpx.HTTPError) as error:
            assert time.monotonic() < until, error
            time.sleep(1)


def _logged(platform: Running) -> set[str]:
    """Ids in `prediction_log`, over all hours."""
    store = open_store(platform.home)
    return {each for ref in store.pin_all("prediction_log")
            for each in pl.read_parquet(store.path(ref) / PREDICTIONS_FILE)["prediction_id"]}


@pytest.mark.parametrize("which", ["postgres", "redis"])
def test_answers_go_on_while_a_service_is_away(platform: Running, which: str) -> None:
    server = platform.postgres if which == "postgres" else platform.redis
    traffic = Traffic(platform.ports.service, _image())
    try:
        time.sleep(1)
        server.kill()
        began = len(traffic.answered)
        time.sleep(3)
        assert len(traffic.answered) > began
        server.start()
        time.sleep(1)
    finally:
        traffic.end()
    assert not traffic.refused
    _succeeds(platform, "monitor_hour", _hour(platform))
    assert set(traffic.answered) <= _logged(platform)


def test_a_run_survives_or_ends_when_the_database_dies(platform: Running) -> None:
    with closing(platform.api()) as api:
        run = api.launch("monitor_hour", _hour(platform))
        time.sleep(1.5)
        platform.postgres.kill()
        time.sleep(2)
        platform.postgres.start()
        until = time.monotonic() + 240
        while True:
            try:
                found = {each.run_id: each.status for each in api.runs("monitor_hour")}[run]
                if found in ENDED:
                    break
            except (PlatformError, httpx.HTTPError):
                pass  # the webserver finds its way back to the database
            assert time.monotonic() < until, "the run hangs"
            time.sleep(1)
    _succeeds(platform, "monitor_hour", _hour(platform))
    with closing(PlatformDatabase(platform.home)) as database:
        assert database.read_audit()


def test_without_the_bucket_nothing_becomes_current(platform: Running) -> None:
    traffic = Traffic(platform.ports.service, _image())
    time.sleep(1)
    traffic.end()
    store = open_store(platform.home)
    hour = _hour(platform)
    before = store.pin("prediction_log", hour)
    platform.s3.down()
    try:
        with pytest.raises(RunError, match=ARTIFACTS):
            _run(platform, "monitor_hour", hour)
        assert store.pin("prediction_log", hour) == before
    finally:
        platform.s3.up()
    _succeeds(platform, "monitor_hour", hour)
    assert set(traffic.answered) <= _logged(platform)


def test_programs_are_all_there_after_the_outages(
    platform: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(platform.home))
    done = run_mlops("status", "--profile", "demo", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(each["ready"] for each in json.loads(done.stdout)["programs"]), done.stdout


def test_an_empty_home_is_filled_from_the_bucket(
    platform: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_store(platform.home).pin("exported_model")
    home = tmp_path / "another"
    monkeypatch.setenv("PLATFORM_HOME", str(home))
    refused = run_mlops("store", "push")
    assert refused.returncode == 1
    done = run_mlops("store", "pull", "--content", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["versions"] > 10
    store = open_store(home)
    assert store.pin("exported_model") == model
    for ref in (store.pin("dataset"), store.pin("trained_model"), *store.pin_all("raw_images")):
        store.verify(ref)
    told = run_mlops("lineage", model.version)
    assert told.returncode == 0
    assert "raw_images" in told.stdout, told.stderr
    again = run_mlops("store", "pull")
    assert again.returncode == 1
    assert "empty folder" in again.stderr
