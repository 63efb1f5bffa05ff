"""A client of Dagster's GraphQL API: partitions, launches, and the events of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from mlops_assets.contracts.errors import PlatformError

REPOSITORY: Final = "__repository__"
LOCATION: Final = "mlops_assets"
REQUEST_SECONDS: Final = 30.0
PAGE: Final = 500

_PARTITION: Final = """
mutation($repository: RepositorySelector!, $definition: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $definition,
                      partitionKey: $key) {
    __typename
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""
_LAUNCH: Final = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on InvalidStepError { invalidStepKey }
  }
}
"""
_LATEST: Final = """
query($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) {
    __typename
    ... on AssetNotFoundError { __typename }
    ... on Asset { assetMaterializations(limit: 1) {
      runId timestamp
      metadataEntries {
        label
        ... on BoolMetadataEntry { boolValue }
        ... on FloatMetadataEntry { floatValue }
        ... on IntMetadataEntry { intValue }
        ... on TextMetadataEntry { text }
      }
    } }
  }
}
"""
_RUNS: Final = """
query($job: String!) {
  runsOrError(filter: {pipelineName: $job}, limit: 5) {
    __typename
    ... on PythonError { message }
    ... on Runs { results { runId status creationTime tags { key value } } }
  }
}
"""
_EVENTS: Final = """
query($run: ID!, $cursor: String, $limit: Int) {
  logsForRun(runId: $run, afterCursor: $cursor, limit: $limit) {
    __typename
    ... on PythonError { message }
    ... on RunNotFoundError { message }
    ... on EventConnection {
      cursor
      hasMore
      events {
        __typename
        ... on MessageEvent { message timestamp stepKey eventType }
        ... on MaterializationEvent {
          assetKey { path }
          metadataEntries {
            label
            ... on BoolMetadataEntry { boolValue }
            ... on FloatMetadataEntry { floatValue }
            ... on TextMetadataEntry { text }
          }
        }
        ... on ExecutionStepFailureEvent { error { ...chain } failureMetadata { description } }
        ... on RunFailureEvent { error { ...chain } }
        ... on EngineEvent { error { ...chain } }
      }
    }
  }
}
fragment chain on PythonError {
  className message errorChain { error { className message } }
}
"""

class DagsterError(PlatformError):
    """Dagster does not answer, or refuses what was asked."""


class DagsterSilent(DagsterError):
    """Dagster does not answer, so that nobody knows whether it did what was asked."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run, at ``at`` seconds since 1970. ``asset`` is set for materializations."""

    kind: str
    message: str
    step: str
    at: float
    asset: str = ""
    metadata: dict[str, bool | float | str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class JobRun:
    """A run of a job, made at ``at`` seconds since 1970."""

    run_id: str
    status: str
    at: float
    tags: dict[str, str]


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _explain(raw: dict[str, Any]) -> str:
    """The innermost cause in one line: what a person can act on."""
    description = (raw.get("failureMetadata") or {}).get("description")
    if description:
        return _first_line(description)
    error = raw.get("error")
    if not error:
        return ""
    chain = [link["error"] for link in error.get("errorChain") or []]
    said = [_first_line(each["message"]) for each in [error, *chain]]
    return next((line for line in reversed(said) if line), str(error.get("className", "")))


def _metadata(raw: dict[str, Any]) -> dict[str, bool | float | str]:
    found: dict[str, bool | float | str] = {}
    for entry in raw.get("metadataEntries", ()):
        for key in ("boolValue", "floatValue", "intValue", "text"):
            if entry.get(key) is not None:
                found[entry["label"]] = entry[key]
    return found


def to_event(raw: dict[str, Any]) -> Event:
    """One event from GraphQL's answer."""
    path = (raw.get("assetKey") or {}).get("path", ())
    return Event(
        kind=raw["__typename"], message=raw.get("message") or "", step=raw.get("stepKey") or "",
        at=float(raw.get("timestamp") or 0) / 1000, asset="/".join(path),
        metadata=_metadata(raw), error=_explain(raw),
    )


class DagsterApi:
    """One webserver's API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=REQUEST_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The single field that a query or mutation gives.

        Raises:
            DagsterError: no answer, or an error in it.
        """
        answer: dict[str, Any] = next(iter(self.ask_all(query, **variables).values()))
        if "message" in answer:
            raise DagsterError(f"Dagster refused: {_first_line(answer['message'])}")
        return answer

    def ask_all(self, query: str, **variables: Any) -> dict[str, Any]:
        """Every field that a query gives.

        Raises:
            DagsterError: no answer, or a query that Dagster can not read.
        """
        try:
            response = self._client.post(
                "/graphql", json={"query": query, "variables": variables}
            )
            body = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise DagsterSilent(f"Dagster does not answer on {self.url}: {error}") from error
        if body.get("errors"):
            raise DagsterError(f"Dagster refused: {body['errors'][0]['message']}")
        data: dict[str, Any] = body["data"]
        return data

    def ensure_partition(self, definition: str, key: str) -> None:
        """Add a key to a dynamic partitions definition unless it is there."""
        selector = {"repositoryName": REPOSITORY, "repositoryLocationName": LOCATION}
        self.ask(_PARTITION, repository=selector, definition=definition, key=key)

    def launch(self, job: str, partition: str | None = None) -> str:
        """Queue a run of a job, of one partition or of none; gives the run's id."""
        tags = [{"key": "dagster/partition", "value": partition}] if partition else []
        params = {
            "selector": {
                "repositoryName": REPOSITORY, "repositoryLocationName": LOCATION, "jobName": job,
            },
            "runConfigData": {},
            "executionMetadata": {"tags": tags},
        }
        answer = self.ask(_LAUNCH, params=params)
        if answer["__typename"] != "LaunchRunSuccess":
            said = [each["message"] for each in answer.get("errors", ())]
            raise DagsterError(f"job `{job}`: {'; '.join(said) or answer['__typename']}")
        return str(answer["run"]["runId"])

    def events(self, run: str, cursor: str | None) -> tuple[list[Event], str | None]:
        """Events after a cursor, and the cursor to go on from."""
        answer = self.ask(_EVENTS, run=run, cursor=cursor, limit=PAGE)
        return [to_event(raw) for raw in answer["events"]], answer["cursor"]

    def latest(self, asset: str) -> tuple[float, dict[str, bool | float | str]]:
        """When an asset was last materialized, in seconds since 1970, and its metadata.

        0 and nothing before the first time.
        """
        found = self.ask(_LATEST, key={"path": [asset]}).get("assetMaterializations") or []
        if not found:
            return 0.0, {}
        return float(found[0]["timestamp"]) / 1000, _metadata(found[0])

    def runs(self, job: str) -> list[JobRun]:
        """The latest runs of a job, newest first."""
        return [
            JobRun(raw["runId"], raw["status"], float(raw["creationTime"]),
                   {tag["key"]: tag["value"] for tag in raw["tags"]})
            for raw in self.ask(_RUNS, job=job)["results"]
        ]
