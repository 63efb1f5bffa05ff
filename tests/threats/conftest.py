"""What the tests of threats share. Keys are made once: RSA takes its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import orjson
import pytest

from tests.bare_asgi import check_refusal
from tests.gates import Clock
from tests.jwks_server import Signer
from tests.model_dir import encode, random_image
from tests.raw_http import Answer, connected, read_answer, request
from tests.running import SPEC, Running, serving_tiny

BODY_SECONDS = 1.0
LIMIT = 60.0
GROWTH_BYTES = 48 * 1024 * 1024
PNG = encode(random_image(1, SPEC))
GOOD = request("/v1/predict", PNG, "content-type: image/png")


@pytest.fixture(scope="session")
def signer() -> Signer:
    """The provider's key."""
    return Signer("first")


@pytest.fixture(scope="session")
def other_signer() -> Signer:
    """Another key."""
    return Signer("second")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The gate's own clock, which the test moves: a busy machine changes no result."""
    made = Clock()
    for module in ("guesses", "jwks", "keyring", "notices", "rates", "tokens"):
        monkeypatch.setattr(f"bentos.{module}.time", made)
    return made


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`bentoml serve` with little patience and small limits."""
    limits = {"MLOPS_SERVICE_BODY_TIMEOUT": str(BODY_SECONDS),
              "MLOPS_SERVICE_MAX_BODY_BYTES": "1000000",
              "MLOPS_SERVICE_MAX_BUNDLE_BYTES": "2000000",
              "MLOPS_SERVICE_MAX_PIXELS": "1000000"}
    with serving_tiny(tmp_path_factory.mktemp("service"), **limits) as running:
        yield running


@pytest.fixture(scope="session")
def port(service: Running) -> int:
    """Where it listens."""
    found = service.client.base_url.port
    assert found is not None
    return found


@pytest.fixture
def unharmed(service: Running, port: int) -> Iterator[None]:
    """After the test the same worker answers, with no more memory or descriptors, and no fault."""
    (worker,) = service.workers()
    for _ in range(50):
        service.client.post("/v1/predict", content=PNG, headers={"content-type": "image/png"})
    memory, descriptors = worker.memory_info().rss, worker.num_fds()
    yield
    asyncio.run(answered(port))
    assert service.workers() == [worker]
    until = time.monotonic() + 10
    while worker.num_fds() > descriptors + 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert worker.num_fds() <= descriptors + 2
    assert worker.memory_info().rss - memory < GROWTH_BYTES
    log = (service.home.parent / "serve.log").read_text()
    assert "Traceback" not in log, log[-4000:]


async def answered(port: int) -> str:
    """The id that a good image gets."""
    async with asyncio.timeout(LIMIT), connected(port) as (reader, writer):
        writer.write(GOOD)
        answer = await read_answer(reader)
    assert answer is not None
    assert answer.status == 200, answer
    return str(orjson.loads(answer.body)["prediction_id"])


def refusal(answer: Answer) -> str:
    """The kind of a problem document, which the answer must be."""
    return check_refusal(answer.status, answer.headers.get("content-type", ""), answer.body)
