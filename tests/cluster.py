"""What a cluster would run, on this machine: code location, webserver and the launcher of runs.

Commands, variables and ``dagster.yaml`` are those of the manifests. Exchanged are only the
database (SQLite), what a container finds at a path (a folder), and the addresses.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import grpc
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mlops_assets.config import PROJECT_ROOT
from resources.dagster_api import DagsterApi
from tests.kubernetes_api import Cluster, api_server
from tests.manifests import Manifest, config_map, pods
from tests.running import free_port

# Their addresses lead nowhere here; without one, MLflow is a folder.
ABSENT = ("MLFLOW_TRACKING_URI", "MLOPS_ARTIFACTS_URL", "MLOPS_EDGE_ROUTE")
WORKSPACE = "/opt/dagster/workspace.yaml"
LAUNCH = """
mutation($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
TERMINATE = """
mutation($run: String!) { terminateRun(runId: $run) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""


@dataclass
class Platform:
    """A platform whose runs become Jobs of ``cluster``."""

    home: Path
    workspace: Path
    variables: Mapping[str, str]
    cluster: Cluster
    instance: dg.DagsterInstance
    api: DagsterApi
    context: WorkspaceProcessContext

    def launch(self, *assets: str, partition: str) -> str:
        """Queue a run of some assets of ``materialize_all``, as the console would; gives its id."""
        answer = self.api.ask(LAUNCH, params={
            "selector": {
                "repositoryName": "__repository__", "repositoryLocationName": "mlops_assets",
                "jobName": "materialize_all", "assetSelection": [{"path": [a]} for a in assets],
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        })
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def dequeue(self) -> None:
        """One turn of the daemon's queue."""
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        list(daemon.run_iteration(self.context))

    def terminate(self, run: str) -> None:
        """As the console would."""
        answer = self.api.ask(TERMINATE, run=run)
        assert answer["__typename"] == "TerminateRunSuccess", (answer, self.cluster.logs())

    def status(self, run: str) -> str:
        """Dagster's word for the state of a run."""
        found = self.instance.get_run_by_id(run)
        assert found is not None
        return found.status.value

    def wait(self, is_so: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Return as soon as something is so; fail with every log otherwise."""
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until, f"{what}: not so\n{self.cluster.logs()}"
            time.sleep(0.3)

    def job(self, component: str, op: str | None = None) -> Manifest:
        """The Job that was posted for a run or for a step."""
        return next(
            job for job in self.cluster.posted
            if (labels := job["metadata"]["labels"])["app.kubernetes.io/component"] == component
            and (op is None or labels["dagster/op"] == op))


def swapped(text: str, home: Path, dagster_home: Path, kubeconfig: Path) -> str:
    """``dagster.yaml`` as shipped, but for what is not on this machine."""
    config = yaml.safe_load(
        text.replace("/opt/dagster", str(dagster_home)).replace("/platform", str(home)))
    assert config["storage"] == {"postgres": {"postgres_url": {
        "env": "MLOPS_DAGSTER_DATABASE_URL"}}}
    config["storage"] = {"sqlite": {"base_dir": str(dagster_home / "storage")}}
    config["run_launcher"]["config"] |= {
        "load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    return yaml.safe_dump(config)


def shipped(overlay: str, name: str) -> tuple[list[str], dict[str, str]]:
    """Command and own variables of a container of a Deployment or CronJob."""
    pod = next(pod for each, pod in pods(overlay) if each.partition("/")[2] == name)
    container = pod["spec"]["containers"][0]
    return container["command"], {each["name"]: each["value"] for each in container.get("env", ())}


def variables_of(overlay: str, home: Path, dagster_home: Path, more: Mapping[str, str],
                 secrets: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Every ConfigMap and Secret that pods of runs name."""
    config = {key: value for key, value in config_map(overlay, "platform").items()
              if key not in ABSENT}
    config |= {"PLATFORM_HOME": str(home), "DAGSTER_HOME": str(dagster_home),
               "BENTOML_HOME": str(home / "bentoml"), **more}
    return {"platform": config, **secrets}


@contextmanager
def program(command: list[str], variables: Mapping[str, str], log: Path) -> Iterator[None]:
    """A process until the block ends."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={**variables, "PATH": path}, cwd=PROJECT_ROOT,
                                   stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_healthy(port: int, service: str, log: Path) -> None:
    """What the kubelet's gRPC probe asks, until the answer is yes."""
    until = time.monotonic() + 120
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < until:
            try:
                answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError:
                time.sleep(0.3)
    raise AssertionError(log.read_text())


def _wait_answers(api: DagsterApi, log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            api.ask("{ version }")
            return
        except Exception:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


@contextmanager
def platform_on_cluster(
    folder: Path, overlay: str, *, secrets: Mapping[str, Mapping[str, str]], **more: str,
) -> Iterator[Platform]:
    """The platform of an overlay; ``more`` are further variables of its ConfigMap."""
    home, dagster_home = folder / "home", folder / "dagster"
    home.mkdir(parents=True)
    dagster_home.mkdir()
    variables = variables_of(overlay, home, dagster_home, more, secrets)
    with ExitStack() as held:
        cluster, kubeconfig = held.enter_context(api_server(folder / "api", variables))
        files = config_map(overlay, "dagster-instance")
        (dagster_home / "dagster.yaml").write_text(
            swapped(files["dagster.yaml"], home, dagster_home, kubeconfig))
        code, web = free_port(), free_port()
        workspace = dagster_home / "workspace.yaml"
        workspace.write_text(
            files["workspace.yaml"].replace("dagster-code", "127.0.0.1").replace("3001", str(code)))
        command, own = shipped(overlay, "dagster-code")
        common: dict[str, str] = {**variables["platform"], **own}
        for secret in secrets.values():
            common |= secret
        log = folder / "code.log"
        held.enter_context(program(moved(command, {"3001": str(code)}), common, log))
        wait_healthy(code, "DagsterApi", log)
        command, own = shipped(overlay, "dagster-webserver")
        log = folder / "webserver.log"
        held.enter_context(program(
            moved(command, {"3000": str(web), WORKSPACE: str(workspace)}),
            {**common, **own}, log))
        api = held.enter_context(closing(DagsterApi(f"http://127.0.0.1:{web}")))
        _wait_answers(api, log)
        instance = held.enter_context(dg.DagsterInstance.from_config(str(dagster_home)))
        target = GrpcServerTarget(
            host="127.0.0.1", port=code, socket=None, location_name="mlops_assets")
        context = held.enter_context(WorkspaceProcessContext(instance, target))
        yield Platform(home, workspace, common, cluster, instance, api, context)


def moved(command: list[str], places: Mapping[str, str]) -> list[str]:
    """A command with other ports and paths, on loopback."""
    here = {"0.0.0.0": "127.0.0.1", **places}
    return [here.get(word, word) for word in command]


def everything_of(job: Manifest) -> Any:
    """The container of a Job's pod."""
    return job["spec"]["template"]["spec"]["containers"][0]
