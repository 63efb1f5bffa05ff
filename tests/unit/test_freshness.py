"""A late asset is a violation for Dagster's daemon, and a metric for whoever watches outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.definitions import defs
from resources.metrics import FOLDER, FRESHNESS_FILE, publish_freshness
from sensors.freshness import build_freshness_sensor

KEYS = [dg.AssetKey("raw_images"), dg.AssetKey("prediction_log")]


def change(instance: dg.DagsterInstance, key: dg.AssetKey, state: FreshnessState) -> None:
    instance.report_runless_asset_event(FreshnessStateChange(
        key=key, new_state=state, previous_state=FreshnessState.UNKNOWN,
        state_change_timestamp=(datetime.now(UTC) - timedelta(minutes=1)).timestamp()))


def tick(instance: dg.DagsterInstance, home: Path) -> str:
    sensor = build_freshness_sensor(KEYS, partial(publish_freshness, home), interval_seconds=60)
    with dg.build_sensor_context(instance=instance) as context:
        found = sensor(context)
    assert isinstance(found, dg.SkipReason)
    return str(found.skip_message)


def states(home: Path) -> Mapping[str, str]:
    text = (home / FOLDER / FRESHNESS_FILE).read_text()
    families = {each.name: each.samples for each in text_string_to_metric_families(text)}
    (checked,) = families["mlops_freshness_checked_timestamp_seconds"]
    assert abs(checked.value - datetime.now(UTC).timestamp()) < 60
    return {sample.labels["asset"]: sample.labels["state"]
            for sample in families["mlops_asset_freshness"] if sample.value == 1}


def test_a_late_asset_is_a_metric(tmp_path: Path) -> None:
    instance = dg.DagsterInstance.ephemeral()
    assert tick(instance, tmp_path) == "nothing is late"
    assert states(tmp_path) == {"raw_images": "unknown", "prediction_log": "unknown"}
    change(instance, KEYS[0], FreshnessState.PASS)
    change(instance, KEYS[1], FreshnessState.FAIL)
    assert tick(instance, tmp_path) == "late: prediction_log"
    assert states(tmp_path) == {"raw_images": "pass", "prediction_log": "fail"}
    change(instance, KEYS[1], FreshnessState.PASS)
    assert tick(instance, tmp_path) == "nothing is late"


def test_the_graph_names_both_as_what_may_be_late() -> None:
    specs = defs.resolve_all_asset_specs()
    assert {spec.key for spec in specs if spec.freshness_policy is not None} == set(KEYS)
