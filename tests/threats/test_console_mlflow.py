"""MLflow's pages behind the console: shown to who may look, and nothing of it changes anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from resources.console_users import ConsoleUsers
from resources.platform_db import PlatformDatabase
from tests.chromium import OPTIONS
from tests.console import running_console, serving_console
from tests.tracking_server import PAGE, log_run, tracking_server
from ui.server.settings import Addresses

pytestmark = pytest.mark.slow
API: Final = "/mlflow/ajax-api/2.0/mlflow"
QUERY: Final = "query GetRun($id: String!) { mlflowGetRun(input: {runId: $id}) { run { info " \
               "{ runName } } } }"
CHANGES: Final = (
    ("POST", f"{API}/runs/delete", {"run_id": "RUN"}),
    ("POST", f"{API}/experiments/delete", {"experiment_id": "1"}),
    ("POST", f"{API}/runs/set-tag", {"run_id": "RUN", "key": "a", "value": "b"}),
    ("POST", f"{API}/registered-models/create", {"name": "planted"}),
    ("POST", f"{API}/registered-models/alias", {"name": "a", "alias": "champion", "version": "1"}),
    ("DELETE", f"{API}/registered-models/alias?name=a&alias=champion", {}),
    ("PATCH", f"{API}/model-versions/update", {"name": "a", "version": "1"}),
    ("PUT", "/mlflow/ajax-api/2.0/mlflow-artifacts/artifacts/1/RUN/artifacts/x", {}),
    # The same by other ways to write it.
    ("POST", "/mlflow/api/2.0/mlflow/runs/delete", {"run_id": "RUN"}),
    ("POST", f"{API}/runs%2fdelete", {"run_id": "RUN"}),
    ("POST", f"{API}/runs/search/%2e%2e/delete", {"run_id": "RUN"}),
    ("POST", f"{API}//runs/delete", {"run_id": "RUN"}),
    ("POST", f"{API}/runs/delete/", {"run_id": "RUN"}),
    ("POST", f"{API}/runs/search;/delete", {"run_id": "RUN"}),
    # Routes that fetch what they are told to, or know secrets.
    ("GET", f"{API}/gateway-proxy?gateway_path=api/2.0/endpoints/", None),
    ("GET", "/mlflow/ajax-api/3.0/mlflow/gateway/secrets/list", None),
    ("GET", f"{API}/webhooks", None),
    ("POST", f"{API}/webhooks", {"url": "http://127.0.0.1/"}),
    ("GET", "/mlflow/ajax-api/3.0/mlflow/assistant/config", None),
    ("POST", "/mlflow/ajax-api/3.0/mlflow/demo/generate", {}),
    ("GET", "/mlflow/metrics", None),
)
NO_QUERIES: Final = (
    b'{"query": "mutation { mlflowSearchRuns(input: {}) { runs { info { runId } } } }"}',
    b'{"query": "query A { test } mutation B { testMutation { output } }", "operationName": "B"}',
    b'[{"query": "query A { test }"}]', b'{"query": 1}', b"{", b"[" * 100_000, b"",
)


@dataclass(frozen=True)
class Tracked:
    """A tracking server with one run."""

    url: str
    run: str

    def addresses(self) -> Addresses:
        return Addresses(mlflow=self.url, mlflow_view=self.url)

    def everything(self) -> Any:
        """Runs of all experiments, and the registered models."""
        with httpx.Client(base_url=f"{self.url}/api/2.0/mlflow", timeout=60) as client:
            return [client.post("/runs/search", json={"experiment_ids": ["0", "1"]}).json(),
                    client.get("/registered-models/search").json()]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    with tracking_server(tmp_path_factory.mktemp("mlflow") / "server") as url:
        yield Tracked(url, log_run(url))


def test_its_pages_files_and_answers_are_shown(tracked: Tracked, tmp_path: Path) -> None:
    with running_console(tmp_path, addresses=tracked.addresses()) as client:
        page = client.get("/mlflow/", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "unsafe" not in page.headers["content-security-policy"].split("style-src")[0]
        script = page.text.split('src="', 1)[1].split('"', 1)[0]
        assert "javascript" in client.get(f"/mlflow/{script}").headers["content-type"]
        found = client.post(f"{API}/runs/search", json={"experiment_ids": ["1"]}).json()
        assert [each["info"]["run_id"] for each in found["runs"]] == [tracked.run]
        told = client.post("/mlflow/graphql", json={
            "query": QUERY, "variables": {"id": tracked.run}, "operationName": "GetRun"})
        assert told.json()["data"]["mlflowGetRun"]["run"]["info"]["runName"] == "first"
        entry = client.get("/mlflow", follow_redirects=False)
        assert (entry.status_code, entry.headers["location"]) == (307, "/mlflow/")


def test_nothing_of_it_changes_anything(tracked: Tracked, tmp_path: Path) -> None:
    before = tracked.everything()
    with running_console(tmp_path, addresses=tracked.addresses()) as client:
        for method, path, body in CHANGES:
            asked = json.loads(json.dumps(body).replace("RUN", tracked.run))
            answer = client.request(method, path.replace("RUN", tracked.run), json=asked)
            assert answer.status_code in (403, 404), (method, path, answer.text)
        for content in NO_QUERIES:
            answer = client.post("/mlflow/graphql", content=content,
                                 headers={"content-type": "application/json"})
            assert answer.status_code == 403, content[:80]
        assert client.get("/mlflow/graphql", params={"query": "{ test }"}).status_code == 403
        assert client.post(f"{API}/runs/search", content=bytes(2 << 20)).status_code == 413
    assert tracked.everything() == before


def test_mlflow_reads_the_query_that_was_looked_at(tracked: Tracked, tmp_path: Path) -> None:
    twice = b'{"query": "mutation { testMutation(inputString: \\"x\\") { output } }", ' \
            b'"query": "query A { test(inputString: \\"seen\\") { output } }"}'
    with running_console(tmp_path, addresses=tracked.addresses()) as client:
        answer = client.post("/mlflow/graphql", content=twice,
                             headers={"content-type": "application/json"})
        assert answer.json()["data"] == {"test": {"output": "seen"}}


def test_what_a_run_has_kept_is_a_page_of_nobodys(tracked: Tracked, tmp_path: Path) -> None:
    with running_console(tmp_path, addresses=tracked.addresses()) as client:
        kept = client.get("/mlflow/get-artifact",
                          params={"run_id": tracked.run, "path": "page.html"})
        assert (kept.status_code, kept.content) == (200, PAGE)
        assert kept.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert kept.headers["x-content-type-options"] == "nosniff"
        assert "attachment" in kept.headers["content-disposition"]


def test_another_sites_page_gets_nothing(tracked: Tracked, tmp_path: Path) -> None:
    with running_console(tmp_path, addresses=tracked.addresses()) as client:
        search = {"experiment_ids": ["1"]}
        for answer in (
            client.get("/mlflow/version", headers={"sec-fetch-site": "cross-site"}),
            client.post(f"{API}/runs/search", json=search, headers={
                "sec-fetch-site": "same-site"}),
            client.post(f"{API}/runs/search", json=search, headers={
                "origin": "https://evil.example"}),
        ):
            assert answer.status_code == 403


def test_who_has_not_signed_in_sees_nothing(tracked: Tracked, tmp_path: Path) -> None:
    with closing(PlatformDatabase(tmp_path)) as database:
        ConsoleUsers(database).create("ada", "viewer", "correct horse battery", actor="root",
                                      reason="test")
    with running_console(tmp_path, addresses=tracked.addresses()) as client:
        assert client.get("/mlflow/version").status_code == 401
        page = client.get("/mlflow/", headers={"accept": "text/html"}, follow_redirects=False)
        assert (page.status_code, page.headers["location"]) == (307, "/")
        signed = client.post("/api/v1/login", json={
            "name": "ada", "password": "correct horse battery"})
        assert signed.status_code == 200
        assert client.get("/mlflow/version").status_code == 200


def test_without_one_it_is_not_there(tmp_path: Path) -> None:
    with running_console(tmp_path) as client:
        assert client.get("/mlflow").status_code == 404
    with running_console(tmp_path, addresses=Addresses(
            mlflow_view="http://127.0.0.1:9")) as client:
        assert client.get("/mlflow/version").status_code == 502


def test_a_browser_shows_a_run_under_the_consoles_policy(tracked: Tracked, tmp_path: Path) -> None:
    """By the link of the console's pages; all that MLflow's page needs is passed on."""
    said: list[str] = []
    with serving_console(tmp_path, addresses=tracked.addresses()) as address, \
            sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("console", lambda each: said.append(each.text) if each.type == "error" else None)
        page.goto(f"{address}/mlflow/#/runs/{tracked.run}")
        expect(page.get_by_text("accuracy").first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("0.875").first).to_be_visible()
        browser.close()
    assert not [each for each in said if "Content Security Policy" in each], said
