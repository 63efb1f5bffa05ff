"""``python -m deploy.reaper``: Jobs and runs that have lost each other.

Dagster deletes no Job of a run that ended some other way than by its own pod, and takes a run for
running whose Job was deleted from outside. This deletes the Jobs of runs that have ended or are
forgotten, and ends the runs that have no Job left. It also gives the versions their shares at the
edge again, which an apply of manifests or an outage may have left behind.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.serving.effect import reconcile_edge

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster_k8s.client import DagsterKubernetesClient

# A run's last event and its Job's end are not one moment, nor its launch and its Job's start.
GRACE: Final = timedelta(minutes=5)
RUN_LABEL: Final = "dagster/run-id"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
RUN_WORKER: Final = "run_worker"
NOT_FOUND: Final = 404
State = Literal["active", "canceling", "ended"]


@dataclass(frozen=True, slots=True)
class Job:
    """A Job of one run: the run's own, or that of a step."""

    name: str
    run: str
    component: str
    made: datetime
    done: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What Dagster says of a run, and since when."""

    state: State
    since: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """Names of Jobs to delete, and ids of runs to end."""

    delete: tuple[str, ...]
    end: tuple[str, ...]


def plan(
    jobs: Iterable[Job], runs: Mapping[str, Run], now: datetime, grace: timedelta = GRACE
) -> Plan:
    """What to do; nothing that is younger than ``grace`` is touched.

    ``runs`` has every run that is active, and those that the jobs name; one that it lacks was
    deleted from Dagster. ``jobs`` must have been listed before ``runs``. A Job that is done stays
    for its time to live, so that its log can be read.
    """
    jobs = list(jobs)
    delete = [
        job.name for job in jobs
        if not job.done and now - job.made > grace
        and ((run := runs.get(job.run)) is None
             or (run.state == "ended" and now - run.since > grace))
    ]
    carried = {job.run for job in jobs if job.component == RUN_WORKER}
    end = [
        name for name, run in runs.items()
        if run.state != "ended" and name not in carried and now - run.since > grace
    ]
    return Plan(tuple(delete), tuple(end))


def list_jobs(client: DagsterKubernetesClient, namespace: str) -> list[Job]:
    """Every Job of a run in a namespace."""
    found = client.batch_api.list_namespaced_job(namespace, label_selector=RUN_LABEL)
    return [
        Job(name=each.metadata.name, run=each.metadata.labels[RUN_LABEL],
            component=each.metadata.labels.get(COMPONENT_LABEL, ""),
            made=each.metadata.creation_timestamp,
            done=any(condition.type in ("Complete", "Failed") and condition.status == "True"
                     for condition in each.status.conditions or ()))
        for each in found.items
    ]


def list_runs(instance: DagsterInstance, named: Iterable[str]) -> dict[str, Run]:
    """The runs that are active, and those that are named."""
    from dagster import DagsterRunStatus, RunsFilter

    active = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    records = instance.get_run_records(RunsFilter(statuses=active))
    if wanted := sorted(set(named)):
        records = [*records, *instance.get_run_records(RunsFilter(run_ids=wanted))]
    found: dict[str, Run] = {}
    for record in records:
        run = record.dagster_run
        state: State = "active"
        if run.is_finished:
            state = "ended"
        elif run.status == DagsterRunStatus.CANCELING:
            state = "canceling"
        since = record.update_timestamp
        found[run.run_id] = Run(
            state, since if since.tzinfo is not None else since.replace(tzinfo=UTC))
    return found


def reap(
    instance: DagsterInstance, client: DagsterKubernetesClient, namespace: str, now: datetime,
    grace: timedelta = GRACE,
) -> Plan:
    """Do what ``plan`` says; gives it back."""
    from kubernetes.client.exceptions import ApiException

    jobs = list_jobs(client, namespace)
    runs = list_runs(instance, (job.run for job in jobs))
    todo = plan(jobs, runs, now, grace)
    for name in todo.end:
        run = instance.get_run_by_id(name)
        if run is None or run.is_finished:
            continue
        if runs[name].state == "canceling":
            instance.report_run_canceled(run, "Its Kubernetes Job is gone.")
        else:
            instance.report_run_failed(
                run, "Its Kubernetes Job is gone: the node was lost, or somebody deleted it.")
    for name in todo.delete:
        try:
            # With its pods: else they would go on without the Job.
            client.batch_api.delete_namespaced_job(
                name, namespace, propagation_policy="Background")
        except ApiException as error:
            # Its time to live was over first.
            if error.status != NOT_FOUND:
                raise
    return todo


def main() -> None:
    """Once, with the instance of ``DAGSTER_HOME`` and the cluster that its launcher knows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grace", type=float, default=GRACE.total_seconds(), metavar="SECONDS",
                        help="what is younger is left in peace (default %(default)g)")
    options = parser.parse_args()
    import dagster as dg
    from dagster_k8s import K8sRunLauncher
    from dagster_k8s.client import DagsterKubernetesClient

    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher  # has loaded the cluster's address
        if not isinstance(launcher, K8sRunLauncher):
            sys.exit("reaper: the runs of this instance are no Jobs of Kubernetes")
        client = DagsterKubernetesClient.production_client()  # type: ignore[no-untyped-call]
        done = reap(instance, client, launcher.job_namespace, datetime.now(UTC),
                    timedelta(seconds=options.grace))
    sys.stdout.write(f"deleted {len(done.delete)} jobs, ended {len(done.end)} runs\n")
    sys.stdout.flush()
    try:
        reconcile_edge(Path(os.environ["PLATFORM_HOME"]))
    except PlatformError as error:
        sys.exit(f"reaper: {error}")


if __name__ == "__main__":
    main()
