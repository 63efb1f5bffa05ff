"""The promise, end to end: drift, a model that repairs it, its rollout, and a wrong model.

The real demo, its real images, and nobody who touches anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from deploy.layout import Layout
from deploy.ports import recorded_ports
from deploy.supervisor import Supervisor
from mlops_assets.contracts.prediction import PredictionRecord
from resources.dagster_api import DagsterApi
from resources.journal import hours, journal_folder, read_hour
from resources.metrics import FOLDER, FRESHNESS_FILE
from resources.platform_db import PlatformDatabase
from tests.alerting import wait_for
from tests.commands import run_mlops
from tests.console_tour import PAGES, Console, another_site, dialogs, faults, touring
from ui.server.routes.alerting import TOLD_FILE

# The first test waits for the demo and the whole story, for which a loaded machine takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PORTS = ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE", "PROMETHEUS", "ALERTMANAGER")
RATE = 60
BATCHES = """{ assetNodeOrError(assetKey: {path: ["raw_images"]}) {
  ... on AssetNode { partitionKeys } } }"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which the demo was run."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("story") / "home"
        for name in PORTS:
            patch.setenv(f"MLOPS__PLATFORM__{name}_PORT", "0")
        patch.setenv("MLOPS__PLATFORM__START_SECONDS", "300")
        patch.setenv("PLATFORM_HOME", str(path))
        done = run_mlops("demo", "--profile", "demo", seconds=900)
        try:
            assert done.returncode == 0, done.stderr[-3000:]
            yield path
        finally:
            Supervisor(Layout(path)).stop()


@pytest.fixture(scope="module")
def story(home: Path) -> dict[str, Any]:
    """What ``mlops story`` tells; a slow machine takes its time."""
    done = run_mlops("story", "--profile", "demo", "--json", "--rate", str(RATE), "--limit", "900",
                     seconds=3000)
    assert done.returncode == 0, f"{done.stderr[-5000:]}\n{home}"
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def console(home: Path, story: dict[str, Any]) -> Iterator[Console]:
    """The platform's console after all that."""
    ports = recorded_ports(Layout(home).ports)
    assert story and ports is not None
    with touring(f"http://127.0.0.1:{ports.console}") as opened:
        yield opened


def test_the_platform_repairs_itself(story: dict[str, Any]) -> None:
    steps = [step["step"] for step in story["steps"]]
    assert steps == [
        "usual traffic", "drifted traffic", "verdict", "retraining", "gate", "shadow", "canary-1",
        "canary-10", "canary-50", "promoted", "drifted traffic", "calm", "bad model", "shadow",
        "rolled back"]
    assert story["clean"] > 0.85
    assert story["before"] < 0.6
    assert story["after"] > story["before"] + 0.15
    assert story["failed_requests"] == 0
    assert (story["promoted"], story["bad_model_promoted"]) == (True, False)
    assert story["verdict_on_new_champion"] in ("stable", "watch")
    assert story["action_on_new_champion"] != "retrain"
    seconds = story["loop"]
    assert sorted(seconds, key=seconds.__getitem__) == sorted(
        seconds, key=["verdict", "retraining", "gate", "shadow", "canary-1", "promoted"].index)


def test_one_episode_had_one_retraining_and_no_run_failed(
    home: Path, story: dict[str, Any]
) -> None:
    ports = recorded_ports(Layout(home).ports)
    assert story and ports is not None
    with closing(DagsterApi(f"http://127.0.0.1:{ports.dagster}")) as api:
        (retraining,) = api.runs("retrain")
        monitored = Counter(run.status for run in api.runs("monitor_hour"))
        judged = Counter(run.status for run in api.runs("judge_rollout"))
    assert retraining.status == "SUCCESS"
    assert retraining.tags["dagster/partition"].startswith("feedback-")
    assert "FAILURE" not in monitored
    assert "FAILURE" not in judged


def test_the_audit_log_says_on_what_evidence_each_step_was_taken(
    home: Path, story: dict[str, Any]
) -> None:
    with closing(PlatformDatabase(home)) as database:
        audit = database.read_audit()
    assert story
    judged = [entry for entry in audit if entry.actor == "rollout_report"]
    assert [entry.details["verdict"] for entry in judged] == ["advance"] * 4 + ["roll back"]
    assert all(finding["interval"]["lower"] <= finding["interval"]["upper"]
               for entry in judged for finding in entry.details["findings"])


def test_no_prediction_is_lost(home: Path, story: dict[str, Any]) -> None:
    folder = journal_folder(home)
    records: list[PredictionRecord] = [
        record for key in hours(folder) for record in read_hour(folder, key)[0]]
    answered = [record for record in records if record.shadow_of is None]
    ids = {record.answer.prediction_id for record in answered}
    assert story
    assert len(ids) == len(answered)
    slots = Counter(record.answer.model.slot for record in records)
    assert slots["shadow"] > 500
    assert slots["challenger"] > 50


def test_what_is_late_is_a_metric(home: Path, story: dict[str, Any]) -> None:
    assert story
    text = (home / FOLDER / FRESHNESS_FILE).read_text()
    for asset in ("raw_images", "prediction_log"):
        assert f'mlops_asset_freshness{{asset="{asset}",state="pass"}} 1.0' in text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_and_dialogs_that_are_full_are_for_everybody(console: Console, theme: str) -> None:
    newest = console.get("predictions?limit=1")["rows"][0]["id"]
    found = {}
    for path in (*PAGES, f"/predictions/{newest}", f"/lineage/{newest}"):
        with console.open(path, theme) as page:
            found[path] = faults(page)
    found |= {name: faults(page) for name, page in dialogs(console, theme)}
    assert not {path: report for path, report in found.items() if report}


def test_a_switch_and_a_launch_reach_dagster(home: Path, console: Console) -> None:
    def schedule() -> dict[str, Any]:
        return next(each for each in console.get("automation")["sensors"] if each["schedule"])

    def turn(way: str, seen: str) -> httpx.Response:
        return console.post(f"sensors/{schedule()['name']}/{way}", str(uuid4()), seen=seen,
                            reason="a test of the switch")

    assert turn("stop", "off" if schedule()["running"] else "on").status_code == 409
    first = schedule()["running"]
    for way in ("stop", "start") if first else ("start", "stop"):
        assert turn(way, schedule()["version"]).status_code == 200
        wait_for(lambda way=way: schedule()["running"] == (way == "start"), 60)
    job = next(each for each in console.get("automation")["jobs"]
               if each["name"] == "monitor_hour")
    assert job["partition"] == "hour"
    hour = sorted(hours(journal_folder(home)))[-1]

    def launch(**more: str) -> tuple[httpx.Response, dict[str, Any]]:
        """A sensor may launch it too at that moment; then what was seen is seen anew."""
        for _ in range(10):
            seen = next(each["version"] for each in console.get("automation")["jobs"]
                        if each["name"] == "monitor_hour")
            body = {"key": str(uuid4()), "job": "monitor_hour", "reason": "a test", "seen": seen,
                    **more}
            answer = console.post("launch", **body)
            if answer.status_code != 409:
                break
        return answer, body

    assert launch()[0].status_code == 422, "it needs an hour"
    queued, body = launch(partition=hour)
    assert queued.status_code == 200, queued.text
    assert console.post("launch", **body).json()["replayed"]
    assert console.post("launch", **{**body, "key": str(uuid4())}).status_code == 409
    ports = recorded_ports(Layout(home).ports)
    assert ports is not None
    with closing(DagsterApi(f"http://127.0.0.1:{ports.dagster}")) as api:
        assert hour in {run.tags["dagster/partition"] for run in api.runs("monitor_hour")}
        batches = api.ask_all(BATCHES)["assetNodeOrError"]["partitionKeys"]
    assert hour not in batches


def test_a_source_that_is_down_is_named_and_the_page_lives(home: Path, console: Console) -> None:
    supervisor = Supervisor(Layout(home))
    with console.open("/") as page:
        supervisor.stop_program("mlflow")
        try:
            named = page.locator(".stop.stale").filter(has_text="MLflow does not answer")
            expect(named).to_be_visible(timeout=60_000)
            expect(page.locator("h1")).to_contain_text("answers")
            expect(page.locator(".p").filter(has_not=page.locator(".src")).first).to_be_visible()
        finally:
            supervisor.start_program("mlflow")
        expect(named).to_be_hidden(timeout=120_000)


def test_an_image_that_is_tried_leads_to_the_raw_bytes(console: Console) -> None:
    with console.open("/try") as page:
        page.locator("main button").filter(has=page.locator("img")).first.click()
        link = page.get_by_role("link", name="answer", exact=True)
        expect(link).to_be_visible(timeout=60_000)
        link.click()
        page.wait_for_url("**/lineage/*")
        for asset in ("raw_images", "dataset", "trained_model", "model_bento"):
            expect(page.get_by_text(asset).first).to_be_visible()


def test_the_whole_drift_report_is_shown_in_its_own_styles(console: Console) -> None:
    where = console.get("drift")["report"]
    policy = httpx.get(console.address + where).headers["content-security-policy"]
    assert "sha256-" in policy and "unsafe" not in policy
    page = console.browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(console.address + where)
    assert page.evaluate("getComputedStyle(document.body).maxWidth") == "992px"
    assert page.locator("img").first.evaluate("image => image.naturalWidth") > 100
    assert said == []
    page.close()


def test_the_alarms_of_the_drift_reached_the_console(home: Path, console: Console) -> None:
    alerts = console.get("alerts")
    assert alerts["routed"]
    # What Alertmanager told by its webhook, which nobody else writes.
    told = json.loads((home / TOLD_FILE).read_bytes())
    assert "DriftDetected" in {each["labels"]["alertname"] for each in told}
    runbooks = {each["runbook"] for each in alerts["alerts"] if each["name"] == "DriftDetected"}
    assert runbooks == {"/runbooks/drift-detected"}


def test_answers_are_walked_by_keys(console: Console) -> None:
    with console.open("/predictions") as page:
        for key in "jjk":
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        peek = page.locator(".peek")
        expect(peek).to_be_visible()
        page.keyboard.press("Escape")
        expect(peek).to_be_hidden()


def test_another_sites_page_gets_nothing_of_the_console(console: Console) -> None:
    before = console.get("audit")["entries"][0]
    with another_site() as site:
        page = console.browser.new_page()
        page.goto(site)
        for path, how in (("loop", {}), ("rollout/rollback", {
                "method": "POST", "mode": "no-cors", "body": "{}"})):
            told = page.evaluate("""async ([url, how]) => {
                try { const answer = await fetch(url, how); return await answer.text() }
                catch (error) { return "refused" } }""", [f"{console.address}/api/v1/{path}", how])
            assert told in ("refused", ""), told
        page.close()
    assert console.get("audit")["entries"][0] == before
