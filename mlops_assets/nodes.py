"""Training on several nodes: an Indexed Job of Kubernetes, followed to its end.

The pods are as those of steps. Images, checkpoints and results are on the shared volume, and so are
the messages of Dagster Pipes.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import dagster as dg

from mlops_assets.config import ComputeSettings, ConfigError
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.executors import training_pod
from mlops_assets.nodes_job import (
    COMPONENT,
    JOB_LABEL,
    Manifest,
    ending,
    make_indexed,
    make_service,
    node_arguments,
    troubles,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagster_k8s import K8sRunLauncher

POLL_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 30
# The API server may be away for so long, as while its nodes are upgraded.
AWAY_SECONDS: Final = 600.0
MESSAGES_FILE: Final = "messages.jsonl"
LOG_LINES: Final = 50
GONE: Final = 404
WORK_LABEL: Final = "mlops-assets/work"
WORK_LETTERS: Final = 32
T = TypeVar("T")


class NodesFailed(PlatformError):
    """A training on several nodes ended badly, or the cluster refused it."""


def find_launcher(instance: dg.DagsterInstance, nodes: int) -> K8sRunLauncher:
    """What launches this instance's runs on a cluster.

    Raises:
        ConfigError: there is none.
    """
    from dagster_k8s import K8sRunLauncher

    launcher = instance.run_launcher  # has loaded the cluster's address
    if not isinstance(launcher, K8sRunLauncher):
        raise ConfigError(
            f"`training.nodes: {nodes}` needs Kubernetes, see docs/kubernetes.md; on one machine "
            "set `training.nodes: 1` and use `training.processes`")
    return launcher


@dataclass(frozen=True, slots=True)
class Nodes:
    """So many nodes of a cluster for one step's training."""

    count: int
    compute: ComputeSettings
    launcher: K8sRunLauncher

    def run(self, context: dg.OpExecutionContext, command: Sequence[str],
            variables: Mapping[str, str], folder: Path) -> None:
        """Run a command on each node, with what it must know of the others, to its end.

        ``folder`` is on the shared volume. The Job and its Service are removed however this ends.

        Raises:
            NodesFailed: with the reason of the pod that says most.
        """
        reader = dg.PipesFileMessageReader(str(folder / MESSAGES_FILE))
        with dg.open_pipes_session(
            context=context, context_injector=dg.PipesEnvContextInjector(), message_reader=reader,
        ) as session:
            told = {**variables, **session.get_bootstrap_env_vars()}
            work = folder.name[:WORK_LETTERS]
            self._run(context, make_job(self, context, command, told, work), work)

    def _run(self, context: dg.OpExecutionContext, job: Manifest, work: str) -> None:
        from kubernetes import client

        place = job["metadata"]["name"], self.launcher.job_namespace
        batch, core = client.BatchV1Api(), client.CoreV1Api()
        _clear(batch, core, place[1], work)
        job["metadata"]["ownerReferences"] = _asked(lambda: _owners(place[1]))
        with _removed(batch, core, *place):
            made = _asked(lambda: batch.create_namespaced_job(
                place[1], job, _request_timeout=REQUEST_SECONDS))
            owned = job | {"metadata": job["metadata"] | {"uid": made.metadata.uid}}
            _asked(lambda: core.create_namespaced_service(
                place[1], make_service(owned), _request_timeout=REQUEST_SECONDS))
            context.log.info(f"training on {self.count} nodes: Job {place[0]}")
            self._follow(context, batch, core, *place)

    def _follow(self, context: dg.OpExecutionContext, batch: Any, core: Any, name: str,
                namespace: str) -> None:
        before: list[str] = []
        while True:
            job = _plain(_patiently(lambda: batch.read_namespaced_job(
                name, namespace, _request_timeout=REQUEST_SECONDS)))
            pods = _plain(_patiently(lambda: core.list_namespaced_pod(
                namespace, label_selector=f"{JOB_LABEL}={name}",
                _request_timeout=REQUEST_SECONDS)))["items"]
            found = troubles(pods)
            for each in found:
                if each not in before:
                    context.log.warning(each)
            before = [*dict.fromkeys([*before, *found])]
            if (ended := ending(job)) is not None:
                if ended[0]:
                    return
                _show_logs(core, namespace, pods)
                raise NodesFailed(why(self.count, ended[1], found or before))
            time.sleep(POLL_SECONDS)


def make_job(nodes: Nodes, context: dg.OpExecutionContext, command: Sequence[str],
             variables: Mapping[str, str], work: str) -> Manifest:
    """The Job: a step's, as Dagster makes it, on so many nodes; ``work`` is what it writes."""
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import UserDefinedDagsterK8sConfig, construct_dagster_k8s_job

    run, step = context.run, context.get_step_execution_context().step.key
    name = f"training-{run.run_id[:8]}-{uuid.uuid4().hex[:8]}"
    common = K8sContainerContext.create_for_run(run, nodes.launcher, include_run_tags=False)
    parts: Any = UserDefinedDagsterK8sConfig
    wanted = common.merge(K8sContainerContext(
        run_k8s_config=parts.from_dict(training_pod(nodes.compute))))
    config: Any = wanted.get_k8s_job_config(None, nodes.launcher)
    if not config.job_image and run.job_code_origin is not None:
        config = config.with_image(run.job_code_origin.repository_origin.container_image)
    job = _plain(construct_dagster_k8s_job(
        job_config=config, args=["python", *command[1:], *node_arguments(name)], job_name=name,
        component=COMPONENT, user_defined_k8s_config=wanted.run_k8s_config,
        labels={"dagster/job": run.job_name, "dagster/op": step, "dagster/run-id": run.run_id,
                WORK_LABEL: work},
        env_vars=[{"name": key, "value": value} for key, value in variables.items()],
    ))
    return make_indexed(job, nodes.count)


def _plain(model: Any) -> Any:
    from kubernetes.client import ApiClient

    return ApiClient().sanitize_for_serialization(model)


def _owners(namespace: str) -> list[Manifest]:
    """The pod of this step, so that nothing is left where it is lost; none where it has no pod."""
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException

    name = os.environ.get("HOSTNAME", "")
    try:
        pod = client.CoreV1Api().read_namespaced_pod(
            name, namespace, _request_timeout=REQUEST_SECONDS)
    except ApiException as error:
        if error.status == GONE:
            return []
        raise
    return [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod.metadata.uid}]


def _clear(batch: Any, core: Any, namespace: str, work: str) -> None:
    """End an earlier Job of the same training: where its step was lost, it may still be at work.

    Raises:
        NodesFailed: its pods do not end.
    """
    from kubernetes.client.exceptions import ApiException

    wanted = {"label_selector": f"{WORK_LABEL}={work}", "_request_timeout": REQUEST_SECONDS}
    for old in _asked(lambda: batch.list_namespaced_job(namespace, **wanted)).items:
        with suppress(ApiException):  # gone, or its pods are waited for in vain
            batch.delete_namespaced_job(
                old.metadata.name, namespace, propagation_policy="Background",
                _request_timeout=REQUEST_SECONDS)
    until = time.monotonic() + AWAY_SECONDS
    while left := _asked(lambda: core.list_namespaced_pod(namespace, **wanted)).items:
        if time.monotonic() > until:
            raise NodesFailed(
                f"pod {left[0].metadata.name} of an earlier training of the same does not end; "
                "see its node, and delete it")
        time.sleep(POLL_SECONDS)


@contextmanager
def _removed(batch: Any, core: Any, name: str, namespace: str) -> Iterator[None]:
    """Remove the Job and its Service afterwards; the reaper does where this can not."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    finally:
        with suppress(ApiException, HTTPError):
            batch.delete_namespaced_job(name, namespace, propagation_policy="Background",
                                        _request_timeout=REQUEST_SECONDS)
        with suppress(ApiException, HTTPError):
            core.delete_namespaced_service(name, namespace, _request_timeout=REQUEST_SECONDS)


def _asked(ask: Callable[[], T]) -> T:
    """The cluster's answer.

    Raises:
        NodesFailed: it refuses, or does not answer.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return ask()
    except ApiException as error:
        if error.status == GONE:
            raise NodesFailed(
                "training on several nodes: its Job is gone; somebody deleted it") from error
        raise NodesFailed(
            f"training on several nodes: the cluster said {error.status} {error.reason}; see the "
            f"role `train-on-nodes` in docs/kubernetes.md: {error.body}") from error
    except HTTPError as error:
        raise NodesFailed(
            f"training on several nodes: no answer of the cluster: {error}") from error


def _patiently(ask: Callable[[], T]) -> T:
    """The answer, also of a cluster that is away for a while."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    until = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < until:
        try:
            return ask()
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and 400 <= (error.status or 0) < 429:
                break
            time.sleep(POLL_SECONDS)
    return _asked(ask)


def _show_logs(core: Any, namespace: str, pods: Sequence[Manifest]) -> None:
    """The ends of the pods' logs into this step's, before they go with their Job."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    for pod in pods:
        name = pod["metadata"]["name"]
        with suppress(ApiException, HTTPError):
            said = core.read_namespaced_pod_log(
                name, namespace, tail_lines=LOG_LINES, _request_timeout=REQUEST_SECONDS)
            sys.stderr.write(f"--- {name}\n{said}\n")
