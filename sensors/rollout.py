"""The rollout sensor: while a newer model is on its way up, its step is judged again and again."""

from typing import Final

import dagster as dg

from mlops_assets.contracts.rollout import LADDER
from sensors.runs import unfinished_run

JOB_NAME: Final = "judge_rollout"
KEYS: Final = (dg.AssetKey("rollout"), dg.AssetKey("rollout_report"))


def _step(instance: dg.DagsterInstance) -> str | None:
    """The step that the latest materialization names."""
    newest, step = -1, None
    for key in KEYS:
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key), limit=1, ascending=False).records
        if found and found[0].storage_id > newest and found[0].asset_materialization is not None:
            newest = found[0].storage_id
            step = str(found[0].asset_materialization.metadata["step"].value)
    return step


def build_rollout_sensor(*, interval_seconds: int) -> dg.SensorDefinition:
    """The sensor; one judgement at a time, none where no rollout goes on."""

    @dg.sensor(
        name="rollout_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the step of a rollout judged while one goes on.",
    )
    def rollout_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        step = _step(context.instance)
        if step not in LADDER:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"no rollout goes on: {step}"))
        running = unfinished_run(context.instance, JOB_NAME)
        if running is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"run {running} judges it already"))
        return dg.SensorResult(run_requests=[dg.RunRequest(tags={"mlops/rollout_step": step})])

    return rollout_sensor
