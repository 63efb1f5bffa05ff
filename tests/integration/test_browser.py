"""Dagster's UI in a headless browser: "Materialize all" clicked on a running platform."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from deploy.layout import Layout
from deploy.ports import recorded_ports
from deploy.supervisor import Supervisor
from tests.chromium import OPTIONS
from tests.commands import run_mlops
from tests.digits import write_digits
from tests.graph import set_digits

pytestmark = pytest.mark.slow

# Dagster does not follow an unpartitioned asset into hours: nothing was predicted in them yet.
# Partitions that the button does not reach: hours, and folders that somebody names.
ELSEWHERE = ("prediction_log", "feedback_labels", "batch_predictions")
BACKFILLS = """
query { partitionBackfillsOrError(limit: 1) {
  __typename
  ... on PartitionBackfills { results { id status error { message } } } } }
"""
LATEST = """
query { assetNodes { assetKey { path } hasMaterializePermission
  assetMaterializations(limit: 1) { timestamp }
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
    status } } } } } }
"""


@pytest.fixture
def platform(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A platform over some of the digits; the address of its Dagster UI."""
    set_digits(monkeypatch, write_digits(tmp_path / "images", per_class=60),
               TRAINING__EPOCHS="8", GATE__MIN_ACCURACY="0.2")
    for name in ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE", "PROMETHEUS", "ALERTMANAGER"):
        monkeypatch.setenv(f"MLOPS__PLATFORM__{name}_PORT", "0")
    monkeypatch.setenv("MLOPS_PROFILE", "demo")
    done = run_mlops("up")
    assert done.returncode == 0, done.stderr
    ports = recorded_ports(Layout(home).ports)
    assert ports is not None
    yield f"http://127.0.0.1:{ports.dagster}"
    Supervisor(Layout(home)).stop()


def _ask(address: str, query: str) -> dict:
    answer = httpx.post(f"{address}/graphql", json={"query": query}, timeout=60)
    answer.raise_for_status()
    return answer.json()["data"]


def _wait_for_backfill(address: str, seconds: float) -> dict:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = _ask(address, BACKFILLS)["partitionBackfillsOrError"]["results"]
        if found and found[0]["status"].startswith(("COMPLETED", "FAILED", "CANCELED")):
            return found[0]
        time.sleep(1)
    raise AssertionError(f"no end of the backfill within {seconds} s: {found}")


def _materialize_all(page: Page, address: str) -> None:
    page.goto(f"{address}/asset-groups")
    page.get_by_text("Materialize all").first.click()
    page.get_by_text("Add a partition").click()
    page.get_by_placeholder("name", exact=True).fill("initial")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Launch backfill").click()


def test_materialize_all_clicked_in_the_browser_succeeds(platform: str) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "no chromium; run `make chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(OPTIONS))
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(60_000)
        _materialize_all(page, platform)
        backfill = _wait_for_backfill(platform, 420)
        browser.close()
    assert backfill["status"] == "COMPLETED_SUCCESS", backfill
    nodes = _ask(platform, LATEST)["assetNodes"]
    for node in nodes:
        name = node["assetKey"]["path"][-1]
        if name in ELSEWHERE:
            continue
        assert node["assetMaterializations"], name
        for check in node["assetChecksOrError"].get("checks", []):
            execution = check["executionForLatestMaterialization"]
            assert execution is not None, (name, check["name"])
            assert execution["status"] == "SUCCEEDED", (name, check["name"])
