"""The Job of a training on several nodes: what it has that a step's Job has not.

Plain data, as the API of Kubernetes has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mlops_assets.models.train_step import ACTIONABLE

COMPONENT: Final = "training_worker"
JOB_LABEL: Final = "batch.kubernetes.io/job-name"
INDEX: Final = "$(JOB_COMPLETION_INDEX)"  # Kubernetes fills it in for each pod
RENDEZVOUS_PORT: Final = 29400
# Of one node's pods, after whose end the others wait for a new one.
POD_RESTARTS: Final = 3
# They say least of all ends: a pod that lost its peer.
VAGUE: Final = ("Error", "")
Manifest = dict[str, Any]


def node_arguments(name: str) -> list[str]:
    """What the training's command is told of its node; pods bear the names that DNS finds."""
    return ["--rendezvous", f"{name}-0.{name}:{RENDEZVOUS_PORT}",
            "--address", f"{name}-{INDEX}.{name}", "--node", INDEX]


def make_indexed(job: Manifest, nodes: int) -> Manifest:
    """A step's Job with a pod for each of so many nodes.

    A pod that ends badly is made again; one whose node is drained does not count. An error that a
    person can act on ends them all, and so does a node whose pods fail again and again.
    """
    name, spec = job["metadata"]["name"], dict(job["spec"])
    spec.pop("backoffLimit", None)
    template = spec["template"]
    container = template["spec"]["containers"][0]
    pod = template["spec"] | {
        "subdomain": name,
        "automountServiceAccountToken": False,
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {JOB_LABEL: name}},
        }],
    }
    # Kubernetes names the pods itself, by their index.
    metadata = {key: value for key, value in template["metadata"].items() if key != "name"}
    return job | {"spec": spec | {
        "completionMode": "Indexed", "completions": nodes, "parallelism": nodes,
        "backoffLimitPerIndex": POD_RESTARTS, "maxFailedIndexes": 0,
        "podFailurePolicy": {"rules": [
            {"action": "FailJob", "onExitCodes": {
                "containerName": container["name"], "operator": "In", "values": [ACTIONABLE]}},
            {"action": "Ignore", "onPodConditions": [
                {"type": "DisruptionTarget", "status": "True"}]},
        ]},
        "template": {"metadata": metadata, "spec": pod},
    }}


def make_service(job: Manifest) -> Manifest:
    """The names of a Job's pods, also of those that are not ready; goes with the Job."""
    name = job["metadata"]["name"]
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "labels": dict(job["metadata"]["labels"]),
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": name,
                "uid": job["metadata"]["uid"]}],
        },
        "spec": {
            "clusterIP": "None", "publishNotReadyAddresses": True, "selector": {JOB_LABEL: name},
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
        },
    }


def ending(job: Manifest) -> tuple[bool, str] | None:
    """Whether a Job succeeded and what Kubernetes says of that; None while it is at work."""
    for each in job.get("status", {}).get("conditions") or ():
        if each["type"] in ("Complete", "Failed") and each["status"] == "True":
            said = [each.get("reason"), each.get("message")]
            return each["type"] == "Complete", ": ".join(filter(None, said))
    return None


def troubles(pods: Iterable[Manifest]) -> list[str]:
    """What keeps pods from their work or ended them, the most telling first."""
    found = [(rank, f"{pod['metadata']['name']} {text}")
             for pod in pods for rank, text in _trouble(pod["status"])]
    return [text for _, text in sorted(found)]


def _trouble(status: Mapping[str, Any]) -> Iterable[tuple[int, str]]:
    if status.get("reason"):  # such as Evicted
        yield 0, _said(status["reason"], status.get("message"))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield 2, "finds no node: " + _said("", condition.get("message"))
    for container in status.get("containerStatuses") or ():
        state = container.get("state") or {}
        if (ended := state.get("terminated")) and ended["exitCode"]:
            reason = ended.get("reason") or ""
            code = f"ended with exit code {ended['exitCode']}"
            yield (1, code) if reason in VAGUE else (0, f"{code} ({reason})")
        waiting = (state.get("waiting") or {}).get("reason", "ContainerCreating")
        if "waiting" in state and waiting not in ("ContainerCreating", "PodInitializing"):
            yield 2, f"waits: {_said(waiting, state['waiting'].get('message'))}"


def _said(reason: str, message: str | None) -> str:
    return ": ".join(filter(None, [reason, " ".join((message or "").split())]))


def why(nodes: int, said: str, found: Sequence[str]) -> str:
    """One line: why a training on several nodes failed."""
    return f"training on {nodes} nodes failed: " + "; ".join([*found[:1], said] if said else
                                                              found[:1] or ["no reason was left"])
