"""The drift sensor: one retraining for each episode that `drift_report` calls drifted."""

import json
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sensors.runs import unfinished_run

JOB_NAME: Final = "retrain"
DRIFT_KEY: Final = dg.AssetKey("drift_report")
EVIDENCE_TAG: Final = "mlops/drift_reason"
REPORT_TAG: Final = "mlops/drift_report"


def _recent_retrain(instance: dg.DagsterInstance, cooldown: timedelta) -> str | None:
    """Why no retraining may be requested now, or None."""
    tagged = dg.RunsFilter(job_name=JOB_NAME)
    running = unfinished_run(instance, JOB_NAME)
    if running is not None:
        return f"retraining run {running} is not finished"
    records = instance.get_run_records(tagged, limit=1)
    if records and EVIDENCE_TAG in records[0].dagster_run.tags:
        age = datetime.now(UTC) - records[0].create_timestamp
        if age < cooldown:
            return f"the last retraining was requested {age} ago; the cooldown is {cooldown}"
    return None


def _text(metadata: dict[str, dg.MetadataValue], key: str) -> str:
    return str(metadata[key].value)


def build_drift_sensor(*, interval_seconds: int, cooldown_hours: float) -> dg.SensorDefinition:
    """The sensor over ``drift_report``; its cursor is the storage id of the last report it saw."""

    @dg.sensor(
        name="drift_sensor", job_name=JOB_NAME, minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests one retraining when a drift report says `drifted`.",
    )
    def drift_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        after = int(context.cursor) if context.cursor else None
        reports = context.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=DRIFT_KEY, after_storage_id=after),
            limit=1, ascending=False,
        ).records
        if not reports:
            return dg.SensorResult(skip_reason=dg.SkipReason("no new drift report"))
        report = reports[0]
        cursor = str(report.storage_id)
        materialization = report.asset_materialization
        if materialization is None:
            raise dg.DagsterInvariantViolationError(f"event {cursor} is no materialization")
        metadata = dict(materialization.metadata)
        verdict = _text(metadata, "verdict")
        if verdict != "drifted":
            return dg.SensorResult(
                cursor=cursor, skip_reason=dg.SkipReason(f"the latest verdict is {verdict}")
            )
        blocked = _recent_retrain(context.instance, timedelta(hours=cooldown_hours))
        if blocked is not None:
            return dg.SensorResult(cursor=cursor, skip_reason=dg.SkipReason(blocked))
        evidence = json.dumps({"window_rows": _text(metadata, "window_rows")})
        return dg.SensorResult(cursor=cursor, run_requests=[
            dg.RunRequest(
                run_key=f"drift-{cursor}",
                tags={EVIDENCE_TAG: _text(metadata, "reason"), "mlops/drift_evidence": evidence,
                      REPORT_TAG: _text(metadata, "version")},
            )
        ])

    return drift_sensor
