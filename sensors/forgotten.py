"""The forget sensor: what was learned from an image that must go is learned again without it."""

from collections.abc import Callable
from typing import Final

import dagster as dg

from sensors.runs import unfinished_run

JOB_NAME: Final = "rebuild"
TAG: Final = "mlops/forgotten"
ATTEMPTS: Final = 5


def build_forget_sensor(
    version: Callable[[], str | None], *, interval_seconds: int
) -> dg.SensorDefinition:
    """The sensor; ``version`` is a hash of the list of forgotten images, None of an empty one.

    It keeps nothing itself: what was requested, and whether it succeeded, is told from the runs.
    """

    @dg.sensor(
        name="forget_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has dataset and model made again when an image must be forgotten.",
    )
    def forget_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        found = version()
        if found is None:
            return dg.SensorResult(skip_reason=dg.SkipReason("nothing to forget"))
        running = unfinished_run(context.instance, JOB_NAME)
        if running is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"run {running} is not finished"))
        runs = context.instance.get_runs(dg.RunsFilter(job_name=JOB_NAME, tags={TAG: found}))
        if any(run.status == dg.DagsterRunStatus.SUCCESS for run in runs):
            return dg.SensorResult(skip_reason=dg.SkipReason("nothing new to forget"))
        if len(runs) >= ATTEMPTS:
            return dg.SensorResult(skip_reason=dg.SkipReason(
                f"{len(runs)} runs of `{JOB_NAME}` failed: a person must look"))
        return dg.SensorResult(run_requests=[dg.RunRequest(
            run_key=f"forget-{found}-{len(runs) + 1}",
            # A run whose process was killed is taken up again where it was.
            tags={TAG: found, "dagster/max_retries": "2"})])

    return forget_sensor
