"""Values for Dagster's own chart say what the manifests say."""

from __future__ import annotations

import re
from typing import Any

import yaml

from deploy.cluster.instance import CODE_PORT, make_instance
from deploy.cluster.pods import DAGSTER_HOME, container_security, pod_security
from mlops_assets.config import PROJECT_ROOT

VALUES: dict[str, Any] = yaml.safe_load(
    (PROJECT_ROOT / "deploy" / "helm" / "values.yaml").read_text())
LAUNCHER: dict[str, Any] = VALUES["runLauncher"]["config"]["k8sRunLauncher"]


def snake(value: Any) -> Any:
    """Keys as ``dagster.yaml`` has them."""
    if isinstance(value, dict):
        return {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): snake(each)
                for key, each in value.items()}
    return value


def test_the_launcher_is_that_of_the_manifests() -> None:
    ours = make_instance()["run_launcher"]["config"]
    for key in ("job_namespace", "image_pull_policy", "labels", "resources"):
        assert snake(LAUNCHER)[key] == ours[key]
    assert [each["name"] for each in LAUNCHER["envConfigMaps"]] == ours["env_config_maps"]
    assert [each["name"] for each in LAUNCHER["envSecrets"]] == ours["env_secrets"]
    assert LAUNCHER["securityContext"] == container_security()
    pod = LAUNCHER["runK8sConfig"]["podSpecConfig"]
    assert pod.pop("serviceAccountName") == ours["service_account_name"]
    assert pod == ours["run_k8s_config"]["pod_spec_config"]
    assert LAUNCHER["runK8sConfig"]["jobSpecConfig"] == ours["run_k8s_config"]["job_spec_config"]


def test_the_instance_is_that_of_the_manifests() -> None:
    ours, daemon = make_instance(), VALUES["dagsterDaemon"]
    assert VALUES["global"]["dagsterHome"] == DAGSTER_HOME
    assert snake(daemon["runMonitoring"]) == ours["run_monitoring"]
    assert snake(daemon["runRetries"]) == ours["run_retries"]
    assert snake(daemon["sensors"]) == ours["sensors"]
    assert snake(daemon["schedules"]) == ours["schedules"]
    assert snake(VALUES["concurrency"]["config"]) == ours["concurrency"]
    coordinator = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert snake(coordinator) == ours["run_coordinator"]["config"]
    for each in ("sensor", "schedule"):
        kept = VALUES["retention"][each]["purgeAfterDays"]
        assert kept.items() >= ours["retention"][each]["purge_after_days"].items()


def test_every_pod_is_restricted_and_of_the_one_version() -> None:
    (code,) = VALUES["dagster-user-deployments"]["deployments"]
    assert code["port"] == CODE_PORT
    for part in (VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], code):
        assert part["podSecurityContext"] == pod_security()
        assert part["securityContext"] == container_security()
        assert part["image"] == {"repository": "mlops-assets/platform", "tag": "0.1.0",
                                 "pullPolicy": "IfNotPresent"}
        assert {"requests", "limits"} == set(part["resources"])
