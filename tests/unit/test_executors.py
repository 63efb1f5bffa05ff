"""Who executes steps, and what the training's pod is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config import ComputeSettings, ConfigError, load_settings
from mlops_assets.executors import choose_executor, training_pod
from tests.manifests import K8S


def test_steps_run_in_the_process_of_their_run_unless_asked() -> None:
    assert choose_executor(ComputeSettings()) is dg.in_process_executor
    assert load_settings().compute == ComputeSettings()


def test_definitions_know_nothing_of_kubernetes_unless_asked() -> None:
    code = ("import sys; import mlops_assets.definitions; "
            "print([name for name in ('dagster_k8s', 'kubernetes') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_jobs_of_steps_when_asked() -> None:
    chosen = choose_executor(ComputeSettings(executor="k8s_job", gpus=2))
    assert chosen.name == "k8s"


def test_a_training_without_gpu_asks_for_none() -> None:
    pod = training_pod(ComputeSettings(executor="k8s_job"))
    assert pod["container_config"]["resources"]["limits"] == {"cpu": "4", "memory": "8Gi"}
    assert set(pod["pod_spec_config"]) == {"volumes"}
    assert "image" not in pod["container_config"]


def test_the_gpu_overlay_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (K8S / "overlays" / "gpu" / "gpu.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    settings = load_settings("production")
    assert settings.training.device == "cuda"
    assert settings.compute.executor == "k8s_job"
    pod = training_pod(settings.compute)
    assert pod["container_config"]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod["pod_spec_config"]["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_a_wrong_executor_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS__COMPUTE__EXECUTOR", "slurm")
    with pytest.raises(ConfigError, match=r"compute\.executor"):
        load_settings()
