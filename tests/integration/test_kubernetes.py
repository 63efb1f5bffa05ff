"""Runs as Jobs of Kubernetes: a stand-in for its API takes what ships, and runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import httpx
import pytest
from dagster_k8s.client import DagsterKubernetesClient

from deploy.cluster.instance import DEADLINE_SECONDS, KEPT_SECONDS
from deploy.reaper import reap
from deploy.score_folder import launch
from mlops_assets.config import PROJECT_ROOT
from tests.cluster import (
    TERMINATE,
    WORKSPACE,
    Platform,
    everything_of,
    moved,
    platform_on_cluster,
    program,
    shipped,
)
from tests.graph import DIGITS_SETTINGS
from tests.manifests import Manifest, pods
from tests.running import free_port

pytestmark = pytest.mark.slow
SECRET = "never-to-be-seen"
SECRETS = {
    "dagster-database": {"MLOPS_DAGSTER_DATABASE_URL": f"postgresql://a:{SECRET}@nowhere/dagster"},
    # SQLite below the home, and a password for nothing.
    "platform-database": {"UNUSED_PASSWORD": SECRET},
    "artifacts": {"AWS_SECRET_ACCESS_KEY": SECRET},
    "service-redis": {},
}
TRAINING = ("raw_images", "validated_images", "quarantined_images", "dataset", "training_shards",
            "trained_model")


def settings(root: Path) -> dict[str, str]:
    return {f"MLOPS__{key}": value for key, value in {
        **DIGITS_SETTINGS, "TRAINING__EPOCHS": "1", "DATASET__ROOT": str(root),
        "TRAINING__COMPILE": "false", "TRAINING__AMP": "off",
    }.items()}


def assert_as_configured(job: Manifest) -> None:
    """What every Job has: of a run, and of a step."""
    labels, spec = job["metadata"]["labels"], job["spec"]
    assert labels["app.kubernetes.io/part-of"] == "mlops-assets"
    assert labels["dagster/run-id"]
    assert spec["activeDeadlineSeconds"] == DEADLINE_SECONDS
    assert spec["ttlSecondsAfterFinished"] == KEPT_SECONDS
    assert spec["backoffLimit"] == 0
    pod, container = spec["template"]["spec"], everything_of(job)
    assert pod["restartPolicy"] == "Never"
    assert pod["serviceAccountName"] == "dagster-run"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    names = [source.get("configMapRef", source.get("secretRef"))["name"]
             for source in container["envFrom"]]
    assert names == ["platform", *SECRETS]
    assert SECRET not in json.dumps(job)


def test_training_runs_as_jobs_with_its_gpu(tmp_path: Path, digits: Path) -> None:
    more = settings(digits)
    with platform_on_cluster(tmp_path, "gpu", secrets=SECRETS, **more) as platform:
        platform.api.ensure_partition("batch", "initial")
        run = platform.launch(*TRAINING, partition="initial")
        assert platform.cluster.posted == []
        platform.dequeue()
        platform.wait(lambda: platform.status(run) in ("SUCCESS", "FAILURE"), seconds=400,
                      what="the run ended")
        assert platform.status(run) == "SUCCESS", platform.cluster.logs()
        event = platform.instance.get_latest_materialization_event(dg.AssetKey("trained_model"))
        assert event is not None
        assert platform.cluster.refused == []
        assert len(platform.cluster.posted) == 1 + len(TRAINING) - 1  # one step makes two assets
        for job in platform.cluster.posted:
            assert_as_configured(job)
            if job is not platform.job("step_worker", "trained_model"):
                assert everything_of(job)["image"] == "mlops-assets/platform:0.1.0"
                assert "nvidia.com/gpu" not in everything_of(job)["resources"]["limits"]
        _assert_training(platform.job("step_worker", "trained_model"))


def _assert_training(job: Manifest) -> None:
    container, pod = everything_of(job), job["spec"]["template"]["spec"]
    assert container["image"] == "mlops-assets/platform-cuda:0.1.0"
    for each in ("limits", "requests"):
        wanted = {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}
        assert container["resources"][each].items() >= wanted.items()
    assert pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    terms = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms["nodeSelectorTerms"][0]["matchExpressions"] == [
        {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}]
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert places["shared-memory"] == "/dev/shm"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shared-memory"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
    assert set(places) == {"platform", "dagster", "tmp", "shared-memory"} == set(volumes)
    owners = job["metadata"]["ownerReferences"]
    assert [owner["kind"] for owner in owners] == ["Pod"]


def _begin(platform: Platform) -> str:
    """A run that has begun, and trains for longer than this test lasts."""
    platform.api.ensure_partition("batch", "initial")
    run = platform.launch(*TRAINING, partition="initial")
    platform.dequeue()
    platform.wait(lambda: platform.status(run) == "STARTED", seconds=120, what="the run started")
    return run


def test_a_run_ends_with_its_job_and_a_job_with_its_run(tmp_path: Path, digits: Path) -> None:
    with platform_on_cluster(
        tmp_path, "production", secrets=SECRETS,
        **settings(digits) | {"MLOPS__TRAINING__EPOCHS": "10000"},
    ) as platform:
        run = _begin(platform)
        assert_as_configured(platform.job("run_worker"))
        platform.terminate(run)
        platform.wait(lambda: platform.status(run) == "CANCELED", seconds=60, what="canceled")
        assert (platform.cluster.jobs, platform.cluster.pods) == ({}, {})
        _lose_a_job(platform)
        _lose_a_run(platform)
        assert _reaper_says(platform) == "deleted 0 jobs, ended 0 runs\n"


def _reaper_says(platform: Platform, *options: str) -> str:
    """What the CronJob's own command prints."""
    command, _ = shipped("production", "reaper")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*command, *options], env={**platform.variables, "PATH": path}, cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=True, timeout=120).stdout


def test_webservers_answer_their_probes_and_a_folder_is_queued(
    tmp_path: Path, digits: Path
) -> None:
    with platform_on_cluster(
        tmp_path, "production", secrets=SECRETS, **settings(digits)
    ) as platform:
        assert httpx.get(platform.api.url + _probe("dagster-webserver")).status_code == 200
        run = platform.instance.get_run_by_id(launch(platform.api.url, "2026-11-22"))
        assert run is not None
        assert (run.job_name, run.status.value) == ("score_folder", "QUEUED")
        assert run.tags["dagster/partition"] == "2026-11-22"
        port, log = free_port(), tmp_path / "view.log"
        command, _ = shipped("production", "dagster-view")
        places = {"3002": str(port), WORKSPACE: str(platform.workspace)}
        with program(moved(command, places), platform.variables, log):
            view = f"http://127.0.0.1:{port}"
            platform.wait(lambda: _answers(view + _probe("dagster-view")), seconds=120,
                          what=f"the view answers; see {log}")
            refused = httpx.post(f"{view}/dagster/graphql", json={
                "query": TERMINATE, "variables": {"run": run.run_id}}).json()
            said = refused["data"]["terminateRun"]["message"]
            assert said == "You do not have permission to terminate this run"
        assert platform.status(run.run_id) == "QUEUED"


def _probe(name: str) -> str:
    pod = next(pod for each, pod in pods("production") if each == f"Deployment/{name}")
    return str(pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"])


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _lose_a_job(platform: Platform) -> None:
    """A Job that is deleted from outside leaves a run, which the reaper ends."""
    run = _begin(platform)
    (name,) = platform.cluster.jobs
    pod = platform.cluster.pods[f"{name}-0"]
    pod.process.kill()
    pod.process.wait()
    platform.cluster.delete_job(name, with_pod=True)
    client = DagsterKubernetesClient.production_client()
    now = datetime.now(UTC)
    assert reap(platform.instance, client, "mlops", now).end == ()
    assert platform.status(run) == "STARTED"
    # As it ships, but for the time that it leaves.
    assert _reaper_says(platform, "--grace", "0") == "deleted 0 jobs, ended 1 runs\n"
    assert platform.status(run) == "FAILURE"


def _lose_a_run(platform: Platform) -> None:
    """A run that Dagster was told has ended leaves a Job at work, which the reaper deletes."""
    run = _begin(platform)
    found = platform.instance.get_run_by_id(run)
    assert found is not None
    platform.instance.report_run_failed(found, "said from outside")
    client = DagsterKubernetesClient.production_client()
    later = datetime.now(UTC) + timedelta(hours=1)
    (name,) = platform.cluster.jobs
    process = platform.cluster.pods[f"{name}-0"].process
    assert reap(platform.instance, client, "mlops", later).delete == (name,)
    assert (platform.cluster.jobs, platform.cluster.pods) == ({}, {})
    platform.wait(lambda: process.poll() is not None, seconds=60, what="the process ended")
