"""``dg launch`` splits a selection into runs that Dagster can take."""

from __future__ import annotations

import dagster as dg
import pytest

from mlops_assets.cli.launch import BadSelection, PlannedRun, plan_runs

SCORING = frozenset({dg.AssetKey("batch_predictions")})


def plan(selection: str, partition: str | None = None) -> list[PlannedRun]:
    from mlops_assets.definitions import defs  # it writes to the platform's home

    graph = defs.resolve_asset_graph()
    keys = dg.AssetSelection.from_coercible([selection]).resolve(graph)
    return list(plan_runs(graph, keys, partition))


def test_everything_is_batches_then_hours_then_reports() -> None:
    runs = plan("*")
    names = [{key.to_user_string() for key in run.keys} for run in runs]
    assert "trained_model" in names[0] and runs[0].partition == "initial"
    assert names[1] == {"prediction_log", "feedback_labels"}
    assert names[-1] == {"drift_report", "performance_report", "online_features"}
    assert not any(SCORING & run.keys for run in runs)


def test_a_folder_is_scored_when_it_is_named() -> None:
    assert plan("batch_predictions", "march") == [PlannedRun(SCORING, "march")]
    with pytest.raises(BadSelection, match="--partition"):
        plan("batch_predictions")


def test_an_hour_is_taken_for_hourly_assets() -> None:
    (run,) = plan("prediction_log", "2026-01-31-23:00")
    assert run.partition == "2026-01-31-23:00"
