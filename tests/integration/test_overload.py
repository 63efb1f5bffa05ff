"""More requests than can be answered: some are, and right; the others are told to come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest

from benchmarks.serving.model import make_images, write_model
from benchmarks.serving.openloop import Outcome, closed_loop, open_loop, run
from benchmarks.serving.overload import SETTINGS, SIDE, post
from bentos.runtime import Runtime
from resources.journal import hours, read_hour
from tests.bare_asgi import check_refusal
from tests.running import Running, serving_built

pytestmark = pytest.mark.slow
IMAGES = make_images(16, SIDE, ".jpg")
REQUESTS = [post(image) for image in IMAGES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("overload")


@pytest.fixture(scope="module")
def runtime(folder: Path) -> Runtime:
    write_model(folder / "model", SIDE)
    return Runtime(folder / "model", threads=1)


@pytest.fixture(scope="module")
def service(folder: Path, runtime: Runtime) -> Iterator[Running]:
    with serving_built(folder, MLOPS_SERVICE_CACHE_ENTRIES="0", **SETTINGS) as running:
        yield running


def ids(outcomes: list[Outcome]) -> Counter[str]:
    return Counter(orjson.loads(each.body)["prediction_id"] for each in outcomes
                   if each.status == 200)


def test_overload_sheds_and_serves_the_others(service: Running, runtime: Runtime) -> None:
    port = service.client.base_url.port
    assert port is not None
    outcomes = run(port, REQUESTS, partial(closed_loop, clients=4, seconds=2.0))
    capacity = sum(each.status == 200 for each in outcomes) / 2.0
    for times in (4, 8, 16):  # a machine that was busy while it was measured can do more
        last = run(port, REQUESTS, partial(open_loop, rate=times * capacity, seconds=3.0, seed=1))
        outcomes += last
        if sum(each.status != 200 for each in last) > len(last) / 4:
            break
    else:
        pytest.fail(f"16 times the capacity of {capacity:.0f}/s is answered")
    assert {each.status for each in last} == {200, 503}

    for each in outcomes:
        if each.status != 200:
            kind = check_refusal(each.status, "application/problem+json", each.body)
            assert kind == "overloaded"
            assert each.retry_after
            assert each.retry_after >= 1
    pixels = [cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)[..., None]
              for image in IMAGES]
    expected, _ = runtime.predict(np.stack(pixels))
    for each in outcomes:
        if each.status == 200:
            found = list(orjson.loads(each.body)["probabilities"].values())
            np.testing.assert_allclose(found, expected[each.number], atol=1e-4)

    after = run(port, REQUESTS, partial(closed_loop, clients=1, seconds=1.0))
    assert {each.status for each in after} == {200}, "it does not recover"
    kept = Counter(record.answer.prediction_id for key in hours(service.journal)
                   for record in read_hour(service.journal, key)[0])
    assert kept == ids(outcomes) + ids(after)
