"""What runs by itself: sensors, runs, and the jobs that a person may launch; and alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from ui.server import schemas
from ui.server.runbooks import runbook_address
from ui.server.sources.dagster import PARTITIONS, Job, Run
from ui.server.world import World, moment

SHOWN_RUNS = 50


def automation(world: World) -> schemas.Automation:
    """Sensors and schedules, runs of the last day, and jobs."""
    seen, where = world.dagster.value, world.console.addresses.dagster_page
    return schemas.Automation(
        sensors=[schemas.SensorView(
            name=each.name, running=each.running, last_tick_at=moment(each.ticked),
            last_tick=f"{each.tick.lower()}: {each.detail}" if each.detail else each.tick.lower(),
            description=each.description, schedule=each.schedule, version=each.version)
            for each in seen.sensors],
        runs=[_run(run, where) for run in seen.runs[:SHOWN_RUNS]],
        jobs=[_job(job) for job in seen.jobs])


def _job(job: Job) -> schemas.JobView:
    kind: Any = "" if job.partitions is None else PARTITIONS.get(job.partitions, "batch")
    return schemas.JobView(name=job.name, partition=kind, version=job.latest)


def _run(run: Run, where: str) -> schemas.RunView:
    by = run.tags.get("dagster/sensor_name") or run.tags.get("dagster/schedule_name", "")
    reason = run.tags.get("mlops/drift_reason") or by
    return schemas.RunView(
        id=run.id, job=run.job, status=run.status, partition=run.tags.get("dagster/partition", ""),
        started_at=moment(run.started or run.created), ended_at=moment(run.ended), reason=reason,
        url=f"{where}/runs/{run.id}" if where else "")


def alerts(world: World, told: list[dict[str, Any]]) -> schemas.Alerts:
    """What fires, as Alertmanager says, and what it told the console before and was resolved."""
    firing = {str(raw.get("fingerprint")): raw for raw in world.alertmanager.value.alerts}
    past = [raw for raw in told if raw.get("status") == "resolved"
            or str(raw.get("fingerprint")) not in firing]
    views = [_alert(raw, "firing") for raw in firing.values()]
    views += [_alert(raw, "resolved") for raw in past]
    return schemas.Alerts(alerts=views, routed=world.alertmanager.configured)


def _alert(raw: dict[str, Any], state: Literal["firing", "resolved"]) -> schemas.AlertView:
    labels, notes = raw.get("labels", {}), raw.get("annotations", {})
    severity: Any = labels.get("severity", "warning")
    ended = raw.get("endsAt") if state == "resolved" else None
    return schemas.AlertView(
        id=str(raw.get("fingerprint", "")), name=labels.get("alertname", "Alert"),
        severity=severity if severity in ("critical", "warning", "info") else "warning",
        state=state, summary=notes.get("summary") or notes.get("description", ""),
        started_at=datetime.fromisoformat(raw["startsAt"]),
        ended_at=datetime.fromisoformat(ended) if ended else None,
        runbook=runbook_address(notes.get("runbook_url", "")),
        source=labels.get("job", "Alertmanager"))
