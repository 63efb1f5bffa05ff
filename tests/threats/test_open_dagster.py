"""Dagster's webserver, which asks nobody who they are, and pages of other sites."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.answering import answering
from tests.chromium import OPTIONS
from tests.console_tour import another_site
from tests.running import free_port

pytestmark = pytest.mark.slow
MUTATION: Final = "mutation { setNuxSeen }"
ASKED: Final = """async ([url, how]) => {
  try { const answer = await fetch(url, how); return answer.type + " " + answer.status }
  catch (error) { return "refused" } }"""


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A webserver as the platform starts it, without definitions."""
    folder = tmp_path_factory.mktemp("dagster")
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [Path(sys.executable), "-m", "deploy.dagster_web", "-h", "127.0.0.1", "-p", str(port),
               "--empty-workspace"]
    with answering(command, f"{url}/server_info", folder / "log", cwd=Path.cwd(),
                   env={**os.environ, "DAGSTER_HOME": str(folder)}):
        yield url


def seen(dagster: str) -> bool:
    """Whether the mutation was made."""
    answer = httpx.post(f"{dagster}/graphql", json={"query": "{ shouldShowNux }"})
    return not answer.json()["data"]["shouldShowNux"]


def test_a_page_of_another_site_changes_nothing(dagster: str) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "no chromium; run `make chromium`"
    query = str(httpx.QueryParams(query=MUTATION))
    form = {"method": "POST", "mode": "no-cors", "body": f'{{"query": "{MUTATION}"}}',
            "headers": {"content-type": "text/plain"}}
    assert not seen(dagster)
    with another_site() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        page = browser.new_page()
        page.goto(site)
        for how in ({"mode": "no-cors"}, {}, form):
            page.evaluate(ASKED, [f"{dagster}/graphql?{query}", how])
        # A page that leads there by itself is the one request that looks like a person's.
        page.evaluate("url => { location.href = url }", f"{dagster}/graphql?{query}")
        page.get_by_text("another site's page may not ask here").wait_for()
        page.goto(site)
        framed = page.evaluate("""url => new Promise(done => {
            const frame = document.createElement("iframe");
            frame.onload = () => done(true); frame.src = url; document.body.append(frame) })""",
            f"{dagster}/runs")
        assert framed
        shown = page.frames[-1].content()
        assert "dagster" not in shown.lower()
        assert not seen(dagster)
        # It can be opened by a person, wherever the link stood.
        page.evaluate("url => { location.href = url }", f"{dagster}/runs")
        page.wait_for_url(f"{dagster}/**")
        page.get_by_text("Runs").first.wait_for()
        browser.close()


@pytest.mark.parametrize(("method", "path", "headers", "status"), [
    ("GET", "/graphql?query=%7Bversion%7D", {}, 405),
    ("GET", "/graphql?query=%7Bversion%7D", {"sec-fetch-site": "cross-site",
                                             "sec-fetch-mode": "navigate"}, 403),
    ("POST", "/graphql", {"origin": "https://evil.example"}, 403),
    ("POST", "/graphql", {"origin": "null"}, 403),
    ("POST", "/graphql", {"sec-fetch-site": "same-site"}, 403),
    ("POST", "/graphql", {"host": "evil.example"}, 421),
    ("POST", "/report_asset_materialization/x", {"sec-fetch-site": "cross-site"}, 403),
    ("GET", "/server_info", {"host": "evil.example:3000"}, 421),
])
def test_what_is_refused(
    dagster: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    body = {"query": "{ version }"} if method == "POST" else None
    assert httpx.request(method, dagster + path, json=body, headers=headers).status_code == status


def test_its_own_pages_and_programs_are_answered(dagster: str) -> None:
    for headers in ({}, {"origin": dagster}, {"sec-fetch-site": "same-origin", "origin": dagster}):
        answer = httpx.post(f"{dagster}/graphql", json={"query": "{ version }"}, headers=headers)
        assert answer.json()["data"]["version"]
    assert httpx.post(f"{dagster}/graphql", json={"query": MUTATION}).is_success
    assert seen(dagster)
