"""A bento, served by BentoML's own command and asked over HTTP."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from bentos.runtime import Runtime
from mlops_assets.contracts.model_card import PROGRAM_FILE
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.contracts.prediction import Answer, PredictionRecord
from mlops_assets.releases.bento import BuiltBento, build_bento
from resources.journal import find, hours, read_hour
from tests.model_dir import CLASSES, encode, random_image, write_model_dir
from tests.running import Running, free_port, members, serving

ROOT = Path(__file__).parents[2]
SPEC = PixelSpec(height=28, width=28, channels=1)
PNG = encode(random_image(1, SPEC))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def runtime(folder: Path) -> Runtime:
    write_model_dir(folder / "model", pixels=SPEC)
    return Runtime(folder / "model", threads=1)


@pytest.fixture(scope="module")
def bento(folder: Path, runtime: Runtime) -> BuiltBento:
    return build_bento(folder / "model", bentoml_home=folder / ".home", project_root=ROOT)


@pytest.fixture(scope="module")
def service(folder: Path, bento: BuiltBento) -> Iterator[Running]:
    limits = {"MLOPS_SERVICE_MAX_BODY_BYTES": "200000", "MLOPS_SERVICE_MAX_PIXELS": "1000000"}
    with serving(bento.tag, folder / ".home", folder / "run", **limits) as running:
        yield running


def ask(running: Running, image: bytes) -> httpx.Response:
    return running.client.post("/v1/predict", files={"image": image})


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["type"].removeprefix("urn:mlops-assets:problem:")


def test_every_way_in_gives_the_models_answer(
    service: Running, bento: BuiltBento, runtime: Runtime
) -> None:
    raw = {"content": PNG, "headers": {"content-type": "image/png"}}
    native = {"json": {"image": base64.b64encode(PNG).decode()}}
    responses = [
        ask(service, PNG),
        service.client.post("/v1/predict", **raw),
        service.client.post("/predict", **native),
    ]
    expected, _ = runtime.predict(random_image(1, SPEC)[None])
    for response in responses:
        assert response.status_code == 200, response.text
        answer = Answer.model_validate(response.json())
        np.testing.assert_allclose(list(answer.probabilities.values()), expected[0], atol=1e-5)
        record = find(service.journal, answer.prediction_id)
        assert record is not None
        assert record.answer == answer
        assert record.bento_tag == bento.tag
        shown = service.client.get(f"/v1/predictions/{answer.prediction_id}")
        assert PredictionRecord.model_validate(shown.json()) == record
        label = {"prediction_id": answer.prediction_id, "label": CLASSES[1]}
        assert service.client.post("/v1/feedback", json=label).status_code == 200
    assert sum(len(read_hour(service.journal, key)[1]) for key in hours(service.journal)) == 3


def test_bentos_own_routes_work(service: Running, bento: BuiltBento) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs.json", "/v1/models"):
        assert service.client.get(path).status_code == 200, path
    assert "/predict" in service.client.get("/docs.json").json()["paths"]
    (model,) = service.client.get("/v1/models").json()["models"]
    assert (model["slot"], model["bento_tag"]) == ("champion", bento.tag)
    assert "mlops_predictions_total" in service.client.get("/metrics").text


def test_bad_requests_are_problems(service: Running) -> None:
    client = service.client
    assert problem(ask(service, b"")) == (400, "empty-image")
    assert problem(ask(service, b"some text")) == (415, "not-an-image")
    assert problem(ask(service, PNG[:-40])) == (422, "undecodable-image")
    assert problem(ask(service, encode(np.zeros((1500, 1500, 1), np.uint8)))) == (
        413,
        "too-many-pixels",
    )
    assert problem(ask(service, PNG + bytes(200_000))) == (413, "body-too-large")
    assert problem(client.get("/v1/predict")) == (405, "method-not-allowed")
    assert problem(client.get("/predict")) == (405, "method-not-allowed")
    assert problem(client.get("/none")) == (404, "not-found")
    assert problem(client.get(f"/v1/predictions/{'0' * 32}")) == (404, "unknown-prediction")
    native = "/predict"
    assert problem(client.post(native, json={"image": "?"})) == (400, "malformed-base64")
    assert problem(client.post(native, json={"image": "http://127.0.0.1/"}))[0] == 400
    assert problem(client.post(native, json={})) == (400, "bad-request")
    assert problem(client.post(native, content=b"{")) == (400, "bad-request")
    assert problem(client.post(native, json={"image": "A" * 300_000})) == (413, "body-too-large")
    assert problem(client.post(native, files={"image": PNG})) == (415, "unsupported-media-type")
    assert client.get("/readyz").status_code == 200


def test_many_clients_each_get_their_own_answer(service: Running, runtime: Runtime) -> None:
    images = [random_image(n, SPEC) for n in range(320)]
    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(lambda image: ask(service, encode(image)), images))
    expected, _ = runtime.predict(np.stack(images))
    assert [response.status_code for response in responses] == [200] * len(images)
    found = [list(response.json()["probabilities"].values()) for response in responses]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for response in responses:
        assert find(service.journal, response.json()["prediction_id"]) is not None


def post_until_accepted(service: Running, label: dict[str, str]) -> int:
    """Status of the first answer; connections to a killed worker break, some only when used."""
    limit = time.monotonic() + 30
    while True:
        try:
            return service.client.post("/v1/feedback", json=label).status_code
        except httpx.TransportError:
            assert time.monotonic() < limit, "no worker took the place of the killed one"
            time.sleep(0.1)


def test_an_answer_is_in_the_journal_when_its_worker_is_killed(service: Running) -> None:
    (worker,) = service.workers()
    answers = [ask(service, PNG).json()["prediction_id"] for _ in range(20)]
    worker.kill()
    assert all(find(service.journal, answer) is not None for answer in answers)
    label = {"prediction_id": answers[0], "label": CLASSES[0]}
    assert post_until_accepted(service, label) == 200
    (other,) = service.workers()
    assert other.pid != worker.pid


def test_a_worker_does_not_outlive_its_server(folder: Path, bento: BuiltBento) -> None:
    with serving(bento.tag, folder / ".home", folder / "orphan") as running:
        answer = ask(running, PNG).json()["prediction_id"]
        (worker,) = running.workers()
        psutil.Process(running.server).kill()
        assert find(running.journal, answer) is not None
        assert psutil.wait_procs([worker], timeout=20)[1] == []


def is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any("worker" in each for each in process.cmdline())
    return False


def test_a_worker_that_still_loads_does_not_outlive_its_server(
    folder: Path, bento: BuiltBento
) -> None:
    home, port = folder / "loading" / ".platform", free_port()
    (folder / "loading").mkdir()
    variables = os.environ | {"BENTOML_HOME": str(folder / ".home"), "PLATFORM_HOME": str(home),
                              "MLOPS_SERVICE_AUTH": "off"}
    # As `deploy.serve` does: the server keeps the process id that it is told.
    server = subprocess.Popen(
        ["/bin/sh", "-c", 'MLOPS_SERVICE_PARENT=$$ exec "$0" -m bentoml serve "$@"', sys.executable,
         bento.tag, "--host", "127.0.0.1", "--port", str(port)],
        env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        limit = time.monotonic() + 60
        while not any(map(is_worker, members(home))):
            assert time.monotonic() < limit and server.poll() is None
            time.sleep(0.02)
    finally:
        server.kill()
        server.wait()
        limit = time.monotonic() + 60
        while (stay := members(home)) and time.monotonic() < limit:
            time.sleep(0.1)
        for each in stay:
            each.kill()
    assert stay == []


def test_an_altered_model_does_not_start(folder: Path, bento: BuiltBento) -> None:
    write_model_dir(folder / "altered", pixels=SPEC)
    with (folder / "altered" / PROGRAM_FILE).open("ab") as program:
        program.write(b" ")
    # In a container BentoML does not start a failed worker again, so the server ends.
    variables = {"MLOPS_MODEL_DIR": str(folder / "altered"), "BENTOML_CONTAINERIZED": "true"}
    with (
        pytest.raises(AssertionError, match="its card says"),
        serving(bento.tag, folder / ".home", folder / "altered-run", **variables),
    ):
        pass
