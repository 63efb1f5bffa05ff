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

import pytest

from deploy.layout import Layout
from deploy.ports import recorded_ports
from deploy.supervisor import Supervisor
from mlops_assets.contracts.prediction import PredictionRecord
from resources.dagster_api import DagsterApi
from resources.journal import hours, journal_folder, read_hour
from resources.metrics import FOLDER, FRESHNESS_FILE
from resources.platform_db import PlatformDatabase
from tests.commands import run_mlops

# The first test waits for the demo and the whole story, for which a loaded machine takes its time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

PORTS = ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE", "PROMETHEUS", "ALERTMANAGER")
RATE = 60


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
