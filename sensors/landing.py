"""The landing sensor: a folder that others have filled becomes a batch, once."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

import dagster as dg

from mlops_assets.contracts.files import LANDING_TAG
from sensors.runs import UNFINISHED

JOB_NAME: Final = "ingest"
ATTEMPTS: Final = 3
SHOWN: Final = 3
# A tick has a time limit; the next one asks for the rest.
MOST: Final = 100


class Looked(Protocol):
    """What a look at the landing zone found; see ``resources.landing``."""

    @property
    def ready(self) -> list[str]:
        """Batches that may be made."""

    @property
    def seen(self) -> dict[str, tuple[str, float]]:
        """Folders with new files: their state, and since when it is so."""

    @property
    def waiting(self) -> list[str]:
        """Why other folders are no batches yet."""


Look = Callable[[Mapping[str, tuple[str, float]], datetime], Looked]


def _refusal(runs: list[dg.DagsterRun], key: str) -> str | None:
    """Why a batch is not asked for now, by the runs that were to make it and have ended."""
    if len(runs) >= ATTEMPTS:
        return (f"{key} was tried {len(runs)} times, see run {runs[0].run_id}; when its cause is "
                f"mended, materialize `raw_images` of {key}")
    return None


def build_landing_sensor(
    look: Look, *, partitions: dg.DynamicPartitionsDefinition, interval_seconds: int
) -> dg.SensorDefinition:
    """The sensor; its cursor is since when each folder has not changed.

    Whether a batch was asked for is told from its runs, so that a lost cursor makes the sensor wait
    once more and ask for nothing twice.
    """
    name = str(partitions.name)

    @dg.sensor(
        name="landing_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes a batch of each folder of the landing zone once it is complete.",
    )
    def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        seen = json.loads(context.cursor) if context.cursor else {}
        found = look({key: (state, since) for key, (state, since) in seen.items()},
                     datetime.now(UTC))
        cursor, waiting = json.dumps(found.seen), list(found.waiting)
        requests: list[dg.RunRequest] = []
        added: list[str] = []
        running = {run.tags.get(LANDING_TAG): run.run_id for run in context.instance.get_runs(
            dg.RunsFilter(job_name=JOB_NAME, statuses=UNFINISHED))}
        for key in found.ready:
            if len(requests) == MOST:
                break
            if key in running:
                waiting.append(f"run {running[key]} makes {key}")
                continue
            runs = context.instance.get_runs(dg.RunsFilter(tags={LANDING_TAG: key}))
            refusal = _refusal(list(runs), key)
            if refusal is not None:
                waiting.append(refusal)
                continue
            if not context.instance.has_dynamic_partition(name, key):
                added.append(key)
            requests.append(dg.RunRequest(
                run_key=f"landing-{key}-{len(runs) + 1}", partition_key=key,
                # A run whose process was killed is taken up again where it was.
                tags={"dagster/max_retries": "2", LANDING_TAG: key}))
        if requests:
            return dg.SensorResult(
                cursor=cursor, run_requests=requests,
                dynamic_partitions_requests=[partitions.build_add_request(added)])
        said = "; ".join(waiting[:SHOWN]) or "no folder has new files"
        more = f" (and {len(waiting) - SHOWN} more)" if len(waiting) > SHOWN else ""
        return dg.SensorResult(cursor=cursor, skip_reason=dg.SkipReason(said + more))

    return landing_sensor
