"""Batch inference by the clock: which folder, and what is asked of Dagster."""

from __future__ import annotations

from datetime import UTC, datetime

from deploy.score_folder import JOB, PARTITIONS, yesterday
from mlops_assets.definitions import defs
from mlops_assets.monitoring.assets import FOLDERS


def test_the_folder_is_that_of_the_day_before_in_utc() -> None:
    assert yesterday(datetime(2026, 3, 1, 0, 10, tzinfo=UTC)) == "2026-02-28"


def test_job_and_partitions_are_those_of_the_graph() -> None:
    job = defs.resolve_job_def(JOB)
    assert job.partitions_def == FOLDERS
    assert FOLDERS.name == PARTITIONS
