"""The rollout sensor: while a newer model is on its way up, its step is judged again and again."""

from typing import Final

import dagster as dg

from mlops_assets.contracts.rollout import LADDER
from sensors.runs import latest_rollout, unfinished_run

JOB_NAME: Final = "judge_rollout"


def build_rollout_sensor(*, interval_seconds: int) -> dg.SensorDefinition:
    """The sensor; one judgement at a time, none where no rollout goes on."""

    @dg.sensor(
        name="rollout_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has the step of a rollout judged while one goes on.",
    )
    def rollout_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        step = latest_rollout(context.instance)[1]
        if step not in LADDER:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"no rollout goes on: {step}"))
        running = unfinished_run(context.instance, JOB_NAME)
        if running is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"run {running} judges it already"))
        return dg.SensorResult(run_requests=[dg.RunRequest(tags={"mlops/rollout_step": step})])

    return rollout_sensor
