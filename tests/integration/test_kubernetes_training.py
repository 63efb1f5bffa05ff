"""Training on several nodes: a stand-in for Kubernetes runs each node's pod as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config import PROJECT_ROOT, TrainingSettings
from mlops_assets.contracts.files import HISTORY_FILE
from mlops_assets.provenance.hashing import digest_files
from tests.cluster import Platform, everything_of, platform_on_cluster
from tests.integration.test_kubernetes import SECRETS, TRAINING, assert_as_configured, settings
from tests.kubernetes_api import Pod, is_indexed
from tests.manifests import Manifest

pytestmark = pytest.mark.slow
MORE = {"MLOPS__TRAINING__NODES": "2", "MLOPS__TRAINING__EPOCHS": "6",
        "MLOPS__TRAINING__INPUT_SIZE": "null",
        "MLOPS__TRAINING__MODEL_ARGS": json.dumps(
            {"layers": [1, 1, 1, 1], "channels": [16, 16, 32, 32]})}


def launch(platform: Platform) -> str:
    platform.api.ensure_partition("batch", "initial")
    run = platform.launch(*TRAINING, partition="initial")
    platform.dequeue()
    return run


def end(platform: Platform, run: str) -> str:
    platform.wait(lambda: platform.status(run) in ("SUCCESS", "FAILURE", "CANCELED"), seconds=400,
                  what="the run ended")
    return platform.status(run)


def nodes_job(platform: Platform) -> Manifest:
    (job,) = [job for job in platform.cluster.posted if is_indexed(job)]
    return job


def training_pods(platform: Platform) -> list[Pod]:
    """Those of the Indexed Job, once it trains."""
    checkpoints = (platform.home / "work").glob("*/checkpoint.pt")
    if next(checkpoints, None) is None:
        return []
    return platform.cluster.pods_of(nodes_job(platform)["metadata"]["name"])


def artifact(platform: Platform, asset: str) -> Path:
    event = platform.instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return Path(str(event.asset_materialization.metadata["artifact"].value))


def train_here(platform: Platform, place: Path, processes: int) -> Path:
    """The same training on one machine."""
    out = place / "out"
    out.mkdir(parents=True)
    asked = TrainingSettings.model_validate(
        json.loads((platform.home / "asked.json").read_text())["settings"])
    own = asked.model_copy(update={"nodes": 1, "processes": processes})
    job = place / "job.json"
    job.write_text(json.dumps({
        "settings": own.model_dump(mode="json"), "out": str(out),
        "shards": str(artifact(platform, "training_shards")), "start": None,
        "checkpoints": str(place), "progress": str(place / "progress.jsonl")}))
    subprocess.run([sys.executable, "-m", "mlops_assets.models.train_process", str(job)],
                   cwd=PROJECT_ROOT, check=True, timeout=300)
    return out


def last_accuracy(out: Path) -> float:
    return float(json.loads((out / HISTORY_FILE).read_bytes())[-1]["accuracy"])


@pytest.mark.timeout(900)
def test_two_nodes_train_as_two_processes_though_one_is_lost(tmp_path: Path, digits: Path) -> None:
    with platform_on_cluster(
        tmp_path, "gpu", secrets=SECRETS, **settings(digits) | MORE
    ) as platform:
        run = launch(platform)
        platform.wait(lambda: len(training_pods(platform)) == 2, seconds=400, what="nodes train")
        lost = training_pods(platform)[1]
        os.killpg(lost.process.pid, signal.SIGKILL)
        (asked,) = (platform.home / "work").glob("*/job.json")
        (platform.home / "asked.json").write_bytes(asked.read_bytes())
        assert end(platform, run) == "SUCCESS", platform.cluster.logs()
        assert platform.cluster.refused == []
        assert (platform.cluster.services, len(platform.cluster.posted_services)) == ({}, 1)
        _assert_job(nodes_job(platform))
        assert nodes_job(platform)["metadata"]["name"] not in platform.cluster.jobs
        said = platform.instance.all_logs(run)
        assert any("epoch 6/6" in each.user_message for each in said)
        assert any("-1 ended with exit code 137" in each.user_message for each in said)
        made = artifact(platform, "trained_model")
        together = digest_files(train_here(platform, tmp_path / "two", 2))
        found = digest_files(made)
        assert {name: found[name] for name in together} == together
        alone = last_accuracy(train_here(platform, tmp_path / "one", 1))
        assert last_accuracy(made) == pytest.approx(alone, abs=0.03)


def _assert_job(job: Manifest) -> None:
    labels, spec, container = job["metadata"]["labels"], job["spec"], everything_of(job)
    assert labels["dagster/run-id"]
    assert (spec["completions"], spec["parallelism"]) == (2, 2)
    assert container["image"] == "mlops-assets/platform-cuda:0.1.0"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert [owner["kind"] for owner in job["metadata"]["ownerReferences"]] == ["Pod"]
    assert_as_configured(job | {"spec": spec | {"backoffLimit": 0}})


@pytest.mark.timeout(900)
def test_nodes_survive_the_first_and_end_with_their_run(tmp_path: Path, digits: Path) -> None:
    more = MORE | {"MLOPS__TRAINING__EPOCHS": "10000"}
    with platform_on_cluster(
        tmp_path, "gpu", secrets=SECRETS, **settings(digits) | more
    ) as platform:
        run = launch(platform)
        platform.wait(lambda: len(training_pods(platform)) == 2, seconds=400, what="nodes train")
        lost = training_pods(platform)[0]
        os.killpg(lost.process.pid, signal.SIGKILL)
        lost.process.wait()
        (progress,) = (platform.home / "work").glob("*/progress.jsonl")
        before = len(progress.read_text().splitlines())
        platform.wait(lambda: len(progress.read_text().splitlines()) > before + 1, seconds=200,
                      what="nodes go on without the one where they met")
        assert max(pod.attempt for pod in training_pods(platform)) >= 1
        processes = [pod.process for pod in training_pods(platform)]
        platform.terminate(run)
        assert end(platform, run) == "CANCELED"
        platform.wait(lambda: not platform.cluster.jobs, seconds=60, what="jobs are gone")
        assert (platform.cluster.pods, platform.cluster.services) == ({}, {})
        platform.wait(lambda: all(each.poll() is not None for each in processes), seconds=60,
                      what="the processes ended")


@pytest.mark.timeout(900)
def test_what_no_new_pod_would_mend_is_said_once(tmp_path: Path, digits: Path) -> None:
    with platform_on_cluster(
        tmp_path, "gpu", secrets=SECRETS,
        **settings(digits) | MORE | {"MLOPS__TRAINING__BATCH_SIZE": "33"},
    ) as platform:
        run = launch(platform)
        assert end(platform, run) == "FAILURE", platform.cluster.logs()
        said = " ".join(str(each.dagster_event) for each in platform.instance.all_logs(run))
        assert "a batch of 33 can not be shared by 2 processes evenly" in said
        assert [pod for pod in platform.cluster.pods.values() if pod.attempt] == []
        assert platform.cluster.services == {}
