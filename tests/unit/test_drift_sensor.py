"""The drift sensor: one retraining an episode, whatever restarts, within a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from resources.journal import FOLDER_FORMAT
from resources.journal_growth import grown
from sensors.drift import EPISODE_TAG, build_drift_sensor
from sensors.journal import build_journal_sensor

NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)


@dg.op
def nothing() -> None:
    """Stands for the retraining."""


@dg.op
def fault() -> None:
    """Stands for one that the gate refuses."""
    raise ValueError("refused")


def report(
    instance: dg.DagsterInstance, action: str, episode: str = "abc-3", version: str = "champion"
) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", metadata={
        "action": action, "action_reason": "accuracy fell", "episode": episode, "version": "f" * 64,
        "model_version": version,
    }))


def retrain(instance: dg.DagsterInstance, tags: dict[str, str], *, fails: bool = False) -> None:
    job = dg.GraphDefinition(name="retrain", node_defs=[fault if fails else nothing]).to_job()
    job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def tick(
    instance: dg.DagsterInstance, *, cooldown: float = 0.0, budget: int = 3
) -> dg.SensorResult:
    sensor = build_drift_sensor(
        lambda: "champion", interval_seconds=5, cooldown_hours=cooldown, budget_a_week=budget)
    with dg.build_sensor_context(instance=instance) as context:
        found = sensor(context)
    assert isinstance(found, dg.SensorResult)
    return found


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def reason(found: dg.SensorResult) -> str:
    assert isinstance(found.skip_reason, dg.SkipReason)
    return str(found.skip_reason.skip_message)


def test_only_a_report_that_asks_for_it_retrains(instance: dg.DagsterInstance) -> None:
    assert reason(tick(instance)) == "no drift report yet"
    for action in ("none", "look", "label"):
        report(instance, action)
        assert f"asks for {action}" in reason(tick(instance))
    report(instance, "retrain")
    (request,) = tick(instance).run_requests or []
    assert (request.run_key, request.partition_key) == ("drift-abc-3-1", "feedback-abc-3-1")
    (added,) = tick(instance).dynamic_partitions_requests or []
    assert added.partition_keys == ["feedback-abc-3-1"]


def test_restarts_and_further_reports_repeat_the_same_request(instance: dg.DagsterInstance) -> None:
    keys = set()
    for _ in range(3):
        report(instance, "retrain")
        keys |= {request.run_key for request in tick(instance).run_requests or []}
    # Dagster starts one run for a run key.
    assert keys == {"drift-abc-3-1"}


def test_a_blocked_request_is_not_lost(instance: dg.DagsterInstance) -> None:
    report(instance, "retrain")
    (request,) = tick(instance).run_requests or []
    retrain(instance, request.tags, fails=True)
    assert "cooldown" in reason(tick(instance, cooldown=1.0))
    # No new report: when the cooldown is over the same report is acted upon.
    (again,) = tick(instance).run_requests or []
    assert again.run_key == "drift-abc-3-2"


def test_a_rollout_is_judged_before_another_model_is_trained(instance: dg.DagsterInstance) -> None:
    report(instance, "retrain")
    for step, why in (("canary-10", "is being rolled out"), ("idle", "has changed since")):
        instance.report_runless_asset_event(
            dg.AssetMaterialization("rollout_report", metadata={"step": step}))
        assert why in reason(tick(instance))
    # The next report is of the model that serves now.
    report(instance, "retrain", "new-1")
    (request,) = tick(instance).run_requests or []
    assert request.tags[EPISODE_TAG] == "new-1"


def test_a_report_that_a_promotion_overtook_retrains_nothing(
    instance: dg.DagsterInstance,
) -> None:
    instance.report_runless_asset_event(
        dg.AssetMaterialization("rollout_report", metadata={"step": "idle"}))
    report(instance, "retrain", version="former")
    assert "does not serve" in reason(tick(instance))
    report(instance, "retrain", "new-1")
    assert tick(instance).run_requests


def test_the_budget_of_a_week_holds_over_episodes(instance: dg.DagsterInstance) -> None:
    for episode in ("abc-3", "def-1"):
        report(instance, "retrain", episode)
        (request,) = tick(instance, budget=2).run_requests or []
        assert request.tags[EPISODE_TAG] == episode
        retrain(instance, request.tags)
    report(instance, "retrain", "ghi-9")
    assert "a person must decide" in reason(tick(instance, budget=2))
    retrain(instance, {})
    assert "2 retrainings" in reason(tick(instance, budget=2))


def test_the_journal_is_followed_from_hour_to_hour(tmp_path: Path) -> None:
    def write(hour: datetime, content: bytes) -> None:
        folder = tmp_path / hour.strftime(FOLDER_FORMAT)
        folder.mkdir(exist_ok=True)
        (folder / "predictions-1-a.jsonl").write_bytes(content)

    before = NOW - timedelta(hours=1)
    assert grown(tmp_path, {}, NOW) == (None, {})
    write(NOW, b"one\n")
    assert grown(tmp_path, {}, NOW) == ("2026-11-24-10:00", {"2026-11-24-10:00": 4})
    write(before, b"late\n")
    first, seen = grown(tmp_path, {"2026-11-24-10:00": 4}, NOW)
    assert first == "2026-11-24-09:00"
    assert grown(tmp_path, seen, NOW)[0] is None
    write(NOW, b"one\ntwo\n")
    assert grown(tmp_path, seen, NOW)[0] == "2026-11-24-10:00"
    assert grown(tmp_path, seen, NOW + timedelta(hours=1))[0] == "2026-11-24-10:00"


def test_the_journal_sensor_asks_once_for_what_is_new(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    folder = tmp_path / now.strftime(FOLDER_FORMAT)
    folder.mkdir()
    (folder / "predictions-1-a.jsonl").write_bytes(b"one\n")
    sensor = build_journal_sensor(partial(grown, tmp_path), interval_seconds=5)
    cursor = None
    asked = []
    for _ in range(2):
        with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
            found = sensor(context)
        assert isinstance(found, dg.SensorResult)
        asked.append([request.partition_key for request in found.run_requests or []])
        cursor = found.cursor or cursor
    assert asked == [[now.strftime("%Y-%m-%d-%H:00")], []]
