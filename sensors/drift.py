"""The drift sensor: one retraining for each episode in which `drift_report` asks for one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from mlops_assets.contracts.rollout import LADDER
from sensors.runs import UNFINISHED, latest_rollout

JOB_NAME: Final = "retrain"
DRIFT_KEY: Final = dg.AssetKey("drift_report")
BATCHES: Final = dg.DynamicPartitionsDefinition(name="batch")
EPISODE_TAG: Final = "mlops/drift_episode"
REASON_TAG: Final = "mlops/drift_reason"
REPORT_TAG: Final = "mlops/drift_report"
WEEK: Final = timedelta(days=7)
REASON_LENGTH: Final = 250


def _value(metadata: dict[str, dg.MetadataValue], key: str) -> str:
    return str(metadata[key].value) if key in metadata else ""


def _refusal(
    records: list[dg.RunRecord], now: datetime, *, cooldown: timedelta, budget: int
) -> str | None:
    """Why no retraining may be requested now, by the runs that drift asked for, newest first."""
    for record in records:
        if record.dagster_run.status in UNFINISHED:
            return f"retraining run {record.dagster_run.run_id} is not finished"
    if records and now - records[0].create_timestamp < cooldown:
        return (f"the last retraining was asked for {now - records[0].create_timestamp} ago; the "
                f"cooldown is {cooldown}")
    week = [record for record in records if now - record.create_timestamp < WEEK]
    if len(week) >= budget:
        return f"{len(week)} retrainings in a week, which is the budget: a person must decide"
    return None


def build_drift_sensor(
    serving: Callable[[], str | None], *, interval_seconds: int, cooldown_hours: float,
    budget_a_week: int,
) -> dg.SensorDefinition:
    """The sensor over ``drift_report``; ``serving`` tells which model version is champion.

    It keeps nothing itself: what was requested is told from the runs, and a run key names the
    episode and the attempt, so that a restarted daemon neither repeats nor loses a request.
    """

    @dg.sensor(
        name="drift_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests one retraining, on production's labelled images as a new batch, "
                    "when a drift report asks for it.",
    )
    def drift_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        reports = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=DRIFT_KEY), limit=1, ascending=False).records
        if not reports or reports[0].asset_materialization is None:
            return dg.SensorResult(skip_reason=dg.SkipReason("no drift report yet"))
        metadata = dict(reports[0].asset_materialization.metadata)
        reason = _value(metadata, "action_reason")
        if _value(metadata, "action") != "retrain":
            return dg.SensorResult(skip_reason=dg.SkipReason(
                f"the latest report asks for {_value(metadata, 'action')}: {reason}"))
        changed, step = latest_rollout(context.instance)
        if step in LADDER:
            return dg.SensorResult(skip_reason=dg.SkipReason(
                f"a newer model is being rolled out ({step}); its judgement comes first"))
        if changed > reports[0].storage_id:
            return dg.SensorResult(skip_reason=dg.SkipReason(
                "what serves has changed since the latest report"))
        # A report that began before a change of what serves may end after it.
        if _value(metadata, "model_version") != serving():
            return dg.SensorResult(skip_reason=dg.SkipReason(
                "the latest report is of a model that does not serve"))
        records = [record for record in context.instance.get_run_records(
            dg.RunsFilter(job_name=JOB_NAME)) if EPISODE_TAG in record.dagster_run.tags]
        refusal = _refusal(records, datetime.now(UTC), cooldown=timedelta(hours=cooldown_hours),
                           budget=budget_a_week)
        if refusal is not None:
            return dg.SensorResult(skip_reason=dg.SkipReason(refusal))
        episode = _value(metadata, "episode")
        before = sum(record.dagster_run.tags[EPISODE_TAG] == episode for record in records)
        name = f"{episode}-{before + 1}"
        batch = f"feedback-{name}"
        return dg.SensorResult(
            dynamic_partitions_requests=[BATCHES.build_add_request([batch])],
            run_requests=[dg.RunRequest(
                run_key=f"drift-{name}", partition_key=batch,
                # A run whose process was killed is taken up again where it was.
                tags={"dagster/max_retries": "2", EPISODE_TAG: episode,
                      REASON_TAG: reason[:REASON_LENGTH], REPORT_TAG: _value(metadata, "version")},
            )],
        )

    return drift_sensor
