"""Dagster's pages behind the console: shown to who may look, and nothing of it changes anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from resources.console_users import ConsoleUsers
from resources.platform_db import PlatformDatabase
from tests.answering import answering
from tests.console import running_console
from tests.running import free_port
from ui.server.settings import Addresses

pytestmark = pytest.mark.slow
QUERY: Final = {"query": "{ version }"}
WIPE: Final = {"query": 'mutation { deletePipelineRun(runId: "x") { __typename } }'}


@contextmanager
def webserver(folder: Path, *flags: str) -> Iterator[str]:
    """A real webserver without definitions."""
    folder.mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [Path(sys.executable).parent / "dagster-webserver", "-h", "127.0.0.1", "-p",
               str(port), "--empty-workspace", "--path-prefix", "/dagster", *flags]
    with answering(command, f"{url}/dagster/server_info", folder / "log", cwd=folder,
                   env={**os.environ, "DAGSTER_HOME": str(folder)}):
        yield url


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with webserver(tmp_path_factory.mktemp("dagster") / "home", "--read-only") as url:
        yield url


def test_its_pages_files_and_answers_are_shown(read_only: str, tmp_path: Path) -> None:
    with running_console(tmp_path, addresses=Addresses(dagster_view=read_only)) as client:
        page = client.get("/dagster/runs", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "/dagster" in page.text
        assert "'self'" not in page.headers["content-security-policy"].split("script-src")[0]
        script = page.text.split('src="', 1)[1].split('"', 1)[0]
        assert script.startswith("/dagster/")
        assert "javascript" in client.get(script).headers["content-type"]
        told = client.post("/dagster/graphql", json=QUERY)
        assert told.json()["data"]["version"]
        refused = client.post("/dagster/graphql", json=WIPE).json()
        assert "Unauthorized" in str(refused)
        entry = client.get("/dagster", follow_redirects=False)
        assert (entry.status_code, entry.headers["location"]) == (307, "/dagster/")
        for path in ("/dagster/%2e%2e/server_info", "/dagster/%252e%252e/x"):
            assert client.get(path).status_code == 404, path
        assert client.get("/dagster/%00").status_code < 500
        assert client.post("/dagster/graphql", content=bytes(2 << 20)).status_code == 413


def test_another_sites_page_gets_nothing(read_only: str, tmp_path: Path) -> None:
    with running_console(tmp_path, addresses=Addresses(dagster_view=read_only)) as client:
        for answer in (
            client.get("/dagster/graphql", params=WIPE, headers={"sec-fetch-site": "cross-site"}),
            client.get("/dagster/%2e%2fgraphql?query={version}",
                       headers={"sec-fetch-site": "cross-site"}),
            client.post("/dagster/graphql", json=QUERY, headers={"origin": "https://evil.example"}),
        ):
            assert answer.status_code == 403


def test_who_has_not_signed_in_sees_nothing(read_only: str, tmp_path: Path) -> None:
    with closing(PlatformDatabase(tmp_path)) as database:
        ConsoleUsers(database).create("ada", "viewer", "correct horse battery", actor="root",
                                      reason="test")
    with running_console(tmp_path, addresses=Addresses(dagster_view=read_only)) as client:
        assert client.post("/dagster/graphql", json=QUERY).status_code == 401
        page = client.get("/dagster/runs", headers={"accept": "text/html"}, follow_redirects=False)
        assert (page.status_code, page.headers["location"]) == (307, "/")
        signed = client.post("/api/v1/login", json={
            "name": "ada", "password": "correct horse battery"})
        assert signed.status_code == 200
        assert client.post("/dagster/graphql", json=QUERY).status_code == 200


def test_a_webserver_that_may_change_things_is_not_shown(tmp_path: Path) -> None:
    with webserver(tmp_path / "writable") as url, running_console(
            tmp_path / "home", addresses=Addresses(dagster_view=url)) as client:
        answer = client.get("/dagster/runs")
        assert answer.status_code == 502
        assert "start it with --read-only" in answer.json()["detail"]


def test_without_one_it_is_not_there(tmp_path: Path) -> None:
    with running_console(tmp_path) as client:
        assert client.get("/dagster").status_code == 404
    with running_console(tmp_path, addresses=Addresses(
            dagster_view="http://127.0.0.1:9")) as client:
        assert client.get("/dagster").status_code == 502
