"""The Job of a training on several nodes, and what is said where it fails."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_k8s import K8sRunLauncher
from kubernetes.client import V1Job, V1JobList, V1ObjectMeta, V1Pod, V1PodList
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import ProtocolError

import mlops_assets.nodes
from deploy.cluster.instance import DEADLINE_SECONDS, KEPT_SECONDS, make_launcher
from mlops_assets.config import ComputeSettings, ConfigError
from mlops_assets.executors import choose_executor
from mlops_assets.models.train_step import ACTIONABLE
from mlops_assets.nodes import Nodes, NodesFailed, find_launcher, make_job
from mlops_assets.nodes_job import ending, make_service, troubles, why
from tests.manifests import VERSIONS, Manifest, faults

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: here, user: {}}]
contexts: [{name: here, context: {cluster: here, user: here, namespace: mlops}}]
"""
GPU = ComputeSettings(
    executor="k8s_job", gpus=2, training_image="platform-cuda",
    tolerations=({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},))


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """As a step makes it with the launcher that ships, by the API as it was given a uid."""
    path = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    path.write_text(KUBECONFIG)
    launcher = K8sRunLauncher(**make_launcher()["config"] | {
        "load_incluster_config": False, "kubeconfig_file": str(path)})
    made: list[Manifest] = []

    @dg.op
    def train(context: dg.OpExecutionContext) -> None:
        made.append(make_job(Nodes(4, GPU, launcher), context,
                             ["/elsewhere/python", "-m", "train", "job.json"], {"GREETING": "hi"},
                             "0123abcd"))

    @dg.job
    def training() -> None:
        train()

    assert training.execute_in_process().success
    made[0]["metadata"]["uid"] = "0000"
    return made[0]


def container_of(job: Manifest) -> Any:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return container


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_job_and_service(job: Manifest, version: str, tmp_path: Path) -> None:
    assert faults([job, make_service(job)], version, tmp_path) == ""
    wrong = job | {"spec": job["spec"] | {"completionmode": "Indexed"}}
    assert faults([wrong], version, tmp_path) != ""


def test_each_node_has_an_index_and_restarts_of_its_own(job: Manifest) -> None:
    spec = job["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert (spec["backoffLimitPerIndex"], spec["maxFailedIndexes"]) == (3, 0)
    assert "backoffLimit" not in spec
    assert spec["activeDeadlineSeconds"] == DEADLINE_SECONDS
    assert spec["ttlSecondsAfterFinished"] == KEPT_SECONDS
    hopeless, drained = spec["podFailurePolicy"]["rules"]
    assert hopeless["onExitCodes"] == {
        "containerName": container_of(job)["name"], "operator": "In", "values": [ACTIONABLE]}
    assert drained["action"] == "Ignore"
    assert len(job["metadata"]["name"]) + len("-999") <= 63


def test_pods_are_as_those_of_steps_without_a_token(job: Manifest) -> None:
    pod, container = job["spec"]["template"]["spec"], container_of(job)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["image"] == "platform-cuda"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert pod["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert {volume["name"] for volume in pod["volumes"]} == {
        "platform", "dagster", "tmp", "shared-memory"}
    assert [source.get("configMapRef", source.get("secretRef"))["name"]
            for source in container["envFrom"]] == [
        "platform", "dagster-database", "platform-database", "artifacts", "service-redis"]
    assert {"name": "GREETING", "value": "hi"} in container["env"]
    labels = job["metadata"]["labels"]
    assert labels["dagster/run-id"]
    assert labels["app.kubernetes.io/component"] == "training_worker"
    assert labels["mlops-assets/work"] == "0123abcd"
    assert job["spec"]["template"]["metadata"]["labels"].items() >= labels.items()


def test_nodes_find_each_other_by_the_names_of_the_service(job: Manifest) -> None:
    service, name = make_service(job), job["metadata"]["name"]
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"] == name
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", name, "0000")
    (port,) = service["spec"]["ports"]
    assert container_of(job)["args"] == [
        "python", "-m", "train", "job.json", "--rendezvous", f"{name}-0.{name}:{port['port']}",
        "--address", f"{name}-$(JOB_COMPLETION_INDEX).{name}", "--node", "$(JOB_COMPLETION_INDEX)"]


def test_without_a_cluster_processes_are_named() -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(
            ConfigError, match=r"training\.nodes: 2.*use `training\.processes`"):
        find_launcher(instance, 2)


def test_a_step_that_only_follows_asks_for_no_gpu() -> None:
    def steps(nodes: int) -> Any:
        executor: Any = choose_executor(GPU, nodes)
        return executor.configured_config_or_fn if hasattr(
            executor, "configured_config_or_fn") else executor.config_schema.resolve_config({})
    assert "nvidia.com/gpu" in str(steps(1))
    assert "nvidia.com/gpu" not in str(steps(2))


def pod(name: str, **status: Any) -> Manifest:
    return {"metadata": {"name": name}, "status": status}


def ended(code: int, reason: str) -> list[Manifest]:
    return [{"state": {"terminated": {"exitCode": code, "reason": reason}}}]


def test_the_pod_that_says_most_is_heard_first() -> None:
    said = troubles([
        pod("a-0", containerStatuses=ended(1, "Error")),
        pod("a-1", containerStatuses=ended(137, "OOMKilled")),
        pod("a-2", containerStatuses=[{"state": {"running": {}}}]),
        pod("a-3", containerStatuses=ended(0, "Completed")),
    ])
    assert said == ["a-1 ended with exit code 137 (OOMKilled)", "a-0 ended with exit code 1"]
    assert why(4, "MaxFailedIndexesExceeded", said) == (
        "training on 4 nodes failed: a-1 ended with exit code 137 (OOMKilled); "
        "MaxFailedIndexesExceeded")
    assert why(4, "", []) == "training on 4 nodes failed: no reason was left"


@pytest.mark.parametrize(("status", "said"), [
    ({"reason": "Evicted", "message": "The node was low\non memory."},
     "a-0 Evicted: The node was low on memory."),
    ({"conditions": [{"type": "PodScheduled", "status": "False",
                      "message": "0/3 nodes are available"}]},
     "a-0 finds no node: 0/3 nodes are available"),
    ({"containerStatuses": [{"state": {"waiting": {
        "reason": "ImagePullBackOff", "message": "not found"}}}]},
     "a-0 waits: ImagePullBackOff: not found"),
])
def test_what_keeps_a_pod_from_its_work_is_said(status: Manifest, said: str) -> None:
    assert troubles([pod("a-0", **status)]) == [said]


@pytest.mark.parametrize("status", [
    {}, {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]},
    {"conditions": [{"type": "PodScheduled", "status": "True"}]},
])
def test_a_pod_that_begins_is_no_trouble(status: Manifest) -> None:
    assert troubles([pod("a-0", **status)]) == []


def test_a_job_ends_by_its_condition() -> None:
    def with_conditions(*found: Manifest) -> Manifest:
        return {"status": {"conditions": list(found)}}
    assert ending({}) is None
    assert ending(with_conditions({"type": "FailureTarget", "status": "True"})) is None
    assert ending(with_conditions({"type": "Complete", "status": "True"})) == (True, "")
    assert ending(with_conditions({
        "type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long",
    })) == (False, "DeadlineExceeded: too long")


def test_a_cluster_that_is_away_for_a_while_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlops_assets.nodes, "POLL_SECONDS", 0.0)
    answers: list[Any] = [ProtocolError("reset"), ApiException(status=503), "here"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)
    assert mlops_assets.nodes._patiently(ask) == "here"


@pytest.mark.parametrize(("status", "said"), [
    (404, "somebody deleted it"), (403, "see the role `train-on-nodes`")])
def test_a_refusal_is_not_waited_for(status: int, said: str) -> None:
    def ask() -> str:
        raise ApiException(status=status)
    with pytest.raises(NodesFailed, match=said):
        mlops_assets.nodes._patiently(ask)


class Held:
    """An API that holds one Job, and its pod for as many looks as are given."""

    def __init__(self, looks: int) -> None:
        self.looks, self.deleted = looks, list[tuple[str, str]]()

    def list_namespaced_job(self, namespace: str, **asked: Any) -> V1JobList:
        assert asked["label_selector"] == "mlops-assets/work=0123abcd"
        return V1JobList(items=[V1Job(metadata=V1ObjectMeta(name="training-old"))])

    def delete_namespaced_job(self, name: str, namespace: str, **asked: Any) -> None:
        self.deleted.append((name, asked["propagation_policy"]))

    def list_namespaced_pod(self, namespace: str, **asked: Any) -> V1PodList:
        assert asked["label_selector"] == "mlops-assets/work=0123abcd"
        self.looks -= 1
        pods = [V1Pod(metadata=V1ObjectMeta(name="training-old-0"))]
        return V1PodList(items=pods if self.looks >= 0 else [])


def test_an_earlier_job_of_the_same_training_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlops_assets.nodes, "POLL_SECONDS", 0.0)
    held = Held(looks=3)
    mlops_assets.nodes._clear(held, held, "mlops", "0123abcd")
    assert held.deleted == [("training-old", "Background")]
    assert held.looks == -1
    monkeypatch.setattr(mlops_assets.nodes, "AWAY_SECONDS", 0.0)
    with pytest.raises(NodesFailed, match=r"training-old-0 of an earlier training .* delete it"):
        mlops_assets.nodes._clear(held, Held(looks=10), "mlops", "0123abcd")
