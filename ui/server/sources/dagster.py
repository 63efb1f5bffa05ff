"""Dagster through its GraphQL API: runs, sensors, checks and the freshness of assets."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from resources.dagster_api import LOCATION, REPOSITORY, DagsterApi, DagsterError

DAY_SECONDS: Final = 86_400.0

_LOOK: Final = """
query($repository: RepositorySelector!, $since: Float!) {
  everything: repositoryOrError(repositorySelector: $repository) {
    __typename
    ... on PythonError { message }
    ... on RepositoryNotFoundError { message }
    ... on Repository {
      jobs { name }
      sensors { id name description minIntervalSeconds sensorState { id status
        ticks(limit: 1) { timestamp status skipReason runIds error { message } } } }
      schedules { name description scheduleState { id status
        ticks(limit: 1) { timestamp status runIds error { message } } } }
    }
  }
  runs: runsOrError(filter: {createdAfter: $since}, limit: 200) {
    __typename
    ... on PythonError { message }
    ... on Runs { results { runId jobName status creationTime startTime endTime
      tags { key value } } }
  }
  daemons: instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  assets: assetNodes {
    assetKey { path }
    assetMaterializations(limit: 1) { timestamp runId }
    jobNames
    partitionDefinition { type name }
    freshnessStatusInfo { freshnessStatus }
    assetChecksOrError {
      ... on AssetChecks { checks { name blocking description
        executionForLatestMaterialization { status } } }
    }
  }
}
"""
_SWITCH: Final = {
    ("sensor", "start"): """
mutation($selector: SensorSelector!) {
  startSensor(sensorSelector: $selector) { __typename
    ... on PythonError { message } ... on UnauthorizedError { message }
    ... on SensorNotFoundError { message } }
}
""",
    ("sensor", "stop"): """
mutation($id: String!) {
  stopSensor(id: $id) { __typename
    ... on PythonError { message } ... on UnauthorizedError { message } }
}
""",
    ("schedule", "start"): """
mutation($selector: ScheduleSelector!) {
  startSchedule(scheduleSelector: $selector) { __typename
    ... on PythonError { message } ... on UnauthorizedError { message }
    ... on ScheduleNotFoundError { message } }
}
""",
    ("schedule", "stop"): """
mutation($id: String!) {
  stopRunningSchedule(id: $id) { __typename
    ... on PythonError { message } ... on UnauthorizedError { message } }
}
""",
}
# What a person calls a key of a partitioned job, by the name that the definition has in Dagster;
# a definition without a name is of hours.
PARTITIONS: Final = {"batch": "batch", "scoring": "folder", "": "hour"}


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times are seconds since 1970, 0 where there is none."""

    id: str
    job: str
    status: str
    tags: dict[str, str]
    created: float
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor or schedule and its last tick."""

    id: str
    name: str
    description: str
    running: bool
    interval: float
    ticked: float
    tick: str
    detail: str
    schedule: bool = False

    @property
    def version(self) -> str:
        """What a person saw who wants to switch it."""
        return "on" if self.running else "off"


@dataclass(frozen=True, slots=True)
class Job:
    """A job; ``partitions`` is the name of what it takes one of, as Dagster knows it.

    None where it takes none; ``latest`` is the newest run of the last day.
    """

    name: str
    partitions: str | None
    latest: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """An asset check as it was for the latest materialization."""

    asset: str
    name: str
    blocking: bool
    description: str
    status: str


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset's latest materialization, and whether it is as fresh as its policy asks."""

    name: str
    materialized: float
    run: str
    freshness: str


@dataclass(frozen=True, slots=True)
class Dagster:
    """What was seen of one Dagster."""

    runs: list[Run] = field(default_factory=list)
    sensors: list[Sensor] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    assets: dict[str, Asset] = field(default_factory=dict)
    daemons: dict[str, bool] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)

    def job(self, name: str) -> Job | None:
        """A job by its name."""
        return next((job for job in self.jobs if job.name == name), None)

    def sensor(self, name: str) -> Sensor:
        """One sensor or schedule.

        Raises:
            DagsterError: there is none of this name.
        """
        for sensor in self.sensors:
            if sensor.name == name:
                return sensor
        raise DagsterError(f"there is no sensor or schedule `{name[:60]}`")


def look(api: DagsterApi) -> Dagster:
    """Ask for everything at once.

    Raises:
        DagsterError: no answer, or an error in it.
    """
    body = api.ask_all(
        _LOOK, repository={"repositoryName": REPOSITORY, "repositoryLocationName": LOCATION},
        since=time.time() - DAY_SECONDS)
    repository, runs = body["everything"], body["runs"]
    for part in (repository, runs):
        if "message" in part:
            raise DagsterError(f"Dagster: {part['message'].splitlines()[0]}")
    return Dagster(
        runs=[_run(raw) for raw in runs["results"]],
        sensors=[_sensor(raw, "sensorState") for raw in repository["sensors"]]
        + [_sensor(raw, "scheduleState") for raw in repository["schedules"]],
        checks=[_check(node, raw) for node in body["assets"]
                for raw in (node["assetChecksOrError"] or {}).get("checks", ())],
        assets={_name(node): _asset(node) for node in body["assets"]},
        daemons={each["daemonType"]: bool(each["healthy"])
                 for each in body["daemons"]["daemonHealth"]["allDaemonStatuses"]
                 if each["required"]},
        jobs=_jobs(repository["jobs"], body["assets"], runs["results"]),
    )


def switch(api: DagsterApi, sensor: Sensor, *, on: bool) -> None:
    """Start or stop a sensor or a schedule.

    Raises:
        DagsterError: it is refused.
    """
    kind = "schedule" if sensor.schedule else "sensor"
    if on:
        api.ask(_SWITCH[kind, "start"], selector={
            "repositoryName": REPOSITORY, "repositoryLocationName": LOCATION,
            f"{kind}Name": sensor.name})
    else:
        api.ask(_SWITCH[kind, "stop"], id=sensor.id)


def _jobs(
    jobs: list[dict[str, Any]], assets: list[dict[str, Any]], runs: list[dict[str, Any]]
) -> list[Job]:
    """By name; Dagster gives the newest run first."""
    partitions = {name: str(node["partitionDefinition"]["name"] or "") for node in assets
                  if node["partitionDefinition"] for name in node["jobNames"]}
    latest = {raw["jobName"]: raw["runId"] for raw in reversed(runs)}
    return [Job(name, partitions.get(name), latest.get(name, ""))
            for name in sorted(job["name"] for job in jobs) if not name.startswith("__")]


def _run(raw: dict[str, Any]) -> Run:
    return Run(raw["runId"], raw["jobName"], raw["status"],
               {tag["key"]: tag["value"] for tag in raw["tags"]},
               float(raw["creationTime"] or 0), float(raw["startTime"] or 0),
               float(raw["endTime"] or 0))


def _sensor(raw: dict[str, Any], key: str) -> Sensor:
    state = raw[key]
    tick = next(iter(state["ticks"]), None) or {}
    error = (tick.get("error") or {}).get("message", "")
    requested = len(tick.get("runIds") or ())
    said = error.splitlines()[0] if error else tick.get("skipReason") or (
        f"requested {requested} run{'s' if requested != 1 else ''}" if requested else "")
    return Sensor(state["id"], raw["name"], raw["description"] or "", state["status"] == "RUNNING",
                  float(raw.get("minIntervalSeconds") or 0), float(tick.get("timestamp") or 0),
                  str(tick.get("status") or ""), said, schedule=key == "scheduleState")


def _name(node: dict[str, Any]) -> str:
    return "/".join(node["assetKey"]["path"])


def _check(node: dict[str, Any], raw: dict[str, Any]) -> Check:
    execution = raw["executionForLatestMaterialization"] or {}
    return Check(_name(node), raw["name"], bool(raw["blocking"]), raw["description"] or "",
                 str(execution.get("status") or ""))


def _asset(node: dict[str, Any]) -> Asset:
    latest = next(iter(node["assetMaterializations"]), None) or {}
    freshness = (node["freshnessStatusInfo"] or {}).get("freshnessStatus") or ""
    return Asset(_name(node), float(latest.get("timestamp") or 0) / 1000,
                 str(latest.get("runId") or ""), str(freshness))
