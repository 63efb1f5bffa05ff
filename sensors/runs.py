"""Runs that a sensor has requested before."""

from typing import Final

import dagster as dg

UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING,
]


def unfinished_run(instance: dg.DagsterInstance, job_name: str) -> str | None:
    """Id of a run of the job that has not ended, or None."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1)
    return runs[0].run_id if runs else None
