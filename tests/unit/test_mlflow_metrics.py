"""What Prometheus is told of MLflow: its requests by method and status, never by path."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from deploy.mlflow_metrics import Measured


def answer(request: Request) -> Response:
    if request.url.path == "/breaks":
        raise ValueError("broken")
    return PlainTextResponse("", 404 if request.url.path == "/nowhere" else 200)


@pytest.fixture
def client() -> TestClient:
    methods = ["GET", "POST", "BREW"]
    routes = [Route(path, answer, methods=methods)
              for path in ("/run", "/health", "/nowhere", "/breaks")]
    return TestClient(Measured(Starlette(routes=routes)), raise_server_exceptions=False)


def counts(client: TestClient, name: str) -> dict[tuple[str, ...], float]:
    told = client.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain")
    return {tuple(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(told.text)
            for sample in family.samples if sample.name == name}


@pytest.mark.parametrize(("method", "path", "labels"), [
    ("GET", "/run", {"method": "GET", "status": "200"}),
    ("POST", "/run", {"method": "POST", "status": "200"}),
    ("GET", "/nowhere", {"method": "GET", "status": "404"}),
    ("GET", "/breaks", {"method": "GET", "status": "500"}),
    ("BREW", "/run", {"method": "other", "status": "200"}),
])
def test_requests_are_counted_and_timed(
    client: TestClient, method: str, path: str, labels: dict[str, str]
) -> None:
    key = tuple(labels.values())
    totals, seconds = "mlops_mlflow_requests_total", "mlops_mlflow_request_seconds_count"
    before = counts(client, totals).get(key, 0), counts(client, seconds).get(key[:1], 0)
    client.request(method, path)
    assert counts(client, totals)[key] == before[0] + 1
    assert counts(client, seconds)[key[:1]] == before[1] + 1


def test_probes_and_scrapes_are_not_counted(client: TestClient) -> None:
    before = counts(client, "mlops_mlflow_requests_total")
    client.get("/health")
    assert counts(client, "mlops_mlflow_requests_total") == before


def test_the_process_is_measured_too(client: TestClient) -> None:
    assert counts(client, "process_resident_memory_bytes")[()] > 0


def test_what_is_no_request_is_left_alone() -> None:
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    with pytest.raises(StopIteration):
        Measured(application)({"type": "lifespan"}, None, None).send(None)  # type: ignore[arg-type]
    assert seen == ["lifespan"]
