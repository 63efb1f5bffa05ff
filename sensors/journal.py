"""The journal sensor: what production has answered goes into the graph while the hour goes on."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from sensors.runs import unfinished_run

JOB_NAME: Final = "monitor_hour"
Grown = Callable[[Mapping[str, int], datetime], tuple[str | None, dict[str, int]]]


def build_journal_sensor(grown: Grown, *, interval_seconds: int) -> dg.SensorDefinition:
    """The sensor; its cursor maps the last hours to the size at which they were asked for.

    ``grown`` tells which hour has more than that now, and what is seen then.
    """

    @dg.sensor(
        name="journal_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Brings new predictions and labels into the graph, and has drift judged.",
    )
    def journal_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        running = unfinished_run(context.instance, JOB_NAME)
        if running is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"run {running} is not finished"))
        seen = json.loads(context.cursor) if context.cursor else {}
        hour, sizes = grown(seen, datetime.now(UTC))
        if hour is None:
            return dg.SensorResult(skip_reason=dg.SkipReason("the journal has not grown"))
        return dg.SensorResult(cursor=json.dumps(sizes), run_requests=[
            dg.RunRequest(run_key=f"journal-{hour}-{sizes[hour]}", partition_key=hour)])

    return journal_sensor
