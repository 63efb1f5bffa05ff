"""The health check of images, as a program and as a function."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

import pytest

from deploy.probe import probe
from mlops_assets.config import PROJECT_ROOT
from tests.loopback import loopback_server
from tests.running import free_port


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that its path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with loopback_server(Answers) as url:
        yield url


@pytest.mark.parametrize("status", [200, 302])
def test_answer_is_healthy(address: str, status: int) -> None:
    assert probe(f"{address}/{status}") == ""


@pytest.mark.parametrize("status", [404, 500, 503])
def test_refusal_is_not(address: str, status: int) -> None:
    assert probe(f"{address}/{status}") == f"{address}/{status} answers {status}"


def test_port_is_enough_for_tcp(address: str) -> None:
    assert probe(f"tcp://{urlsplit(address).netloc}") == ""


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_closed_port_is_not_healthy(scheme: str) -> None:
    assert "refused" in probe(f"{scheme}://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["", "https://a:1", "tcp://a", "http://a/readyz"])
def test_address_must_be_whole(url: str) -> None:
    with pytest.raises(ValueError, match="is neither"):
        probe(url)


def test_program_ends_with_what_it_found(address: str) -> None:
    def run(*arguments: str) -> int:
        return subprocess.run([sys.executable, "-m", "deploy.probe", *arguments], check=False,
                              capture_output=True, cwd=PROJECT_ROOT).returncode

    assert [run(f"{address}/200"), run(f"{address}/503"), run()] == [0, 1, 1]
