"""The document of the service and the service say the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gates import make_key
from tests.running import ROOT, Running, serving_tiny

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).with_name("schemathesis.toml")
COUNTED = re.compile(r'mlops_requests_total\{route="([^"]+)",status="(\d+)"\} (\d+)')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("openapi")


@pytest.fixture(scope="module")
def key(folder: Path) -> str:
    """A key for everything, as often as one likes."""
    return make_key(folder / "run" / ".platform", "admin", rate="1000000/minute").text


@pytest.fixture(scope="module")
def service(folder: Path, key: str) -> Iterator[Running]:
    limits = {"MLOPS_SERVICE_AUTH": "on", "MLOPS_SERVICE_FAILED_RATE": "1000000/minute"}
    with serving_tiny(folder, **limits) as running:
        yield running


@pytest.fixture(scope="module")
def document(service: Running) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get("/docs.json").json()
    return found


def test_schemathesis_finds_no_violation(
    service: Running, document: dict[str, Any], key: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run",
               f"{service.client.base_url}/docs.json", "--seed", "1", "--no-color"]
    variables = os.environ | {"SERVICE_KEY": key, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True,
                           timeout=120, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    assert "No issues found" in found.stdout

    counted = {(route, status): int(times) for route, status, times in COUNTED.findall(
        service.client.get("/metrics").text)}
    for path in (path for path in document["paths"] if path.startswith("/v1/")):
        assert counted.get((path, "200")), f"{path} was never asked as it should be: {counted}"


def test_every_route_is_described(service: Running, document: dict[str, Any]) -> None:
    native = {route["route"] for route in service.client.get("/schema.json").json()["routes"]}
    assert native <= set(document["paths"])
    for path, methods in document["paths"].items():
        (method,) = methods
        other = "GET" if method == "post" else "POST"
        asked = service.client.request(other, path.replace("{prediction_id}", "0"))
        assert asked.status_code == 405, path
        assert method.upper() in asked.headers["allow"]
