"""What sensors look at in common: runs that were requested, and where a rollout is."""

from typing import Final

import dagster as dg

ROLLOUT_KEYS: Final = (dg.AssetKey("rollout"), dg.AssetKey("rollout_report"))
UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING,
]


def unfinished_run(instance: dg.DagsterInstance, job_name: str) -> str | None:
    """Id of a run of the job that has not ended, or None."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1)
    return runs[0].run_id if runs else None


def latest_rollout(instance: dg.DagsterInstance) -> tuple[int, str | None]:
    """Storage id of the latest materialization that names a rollout's step, and the step.

    -1 and None before the first.
    """
    newest, step = -1, None
    for key in ROLLOUT_KEYS:
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key), limit=1, ascending=False).records
        if found and found[0].storage_id > newest and found[0].asset_materialization is not None:
            newest = found[0].storage_id
            step = str(found[0].asset_materialization.metadata["step"].value)
    return newest, step
