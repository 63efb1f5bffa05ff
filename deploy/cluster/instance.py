"""``dagster.yaml`` and ``workspace.yaml`` of a cluster: PostgreSQL, and a Job for every run."""

from __future__ import annotations

from typing import Any, Final

import yaml

from deploy.cluster.pods import (
    CONFIG,
    DAGSTER_HOME,
    HOME,
    INSTANCE,
    NAMESPACE,
    RUN_ACCOUNT,
    SECRETS,
    container_security,
    mounts,
    pod_security,
    volumes,
)
from deploy.instance import MAX_RUN_SECONDS, common_instance, make_workspace, server_storage

CODE_HOST: Final = "dagster-code"
CODE_PORT: Final = 3001
# Later than Dagster's own limit, so that Dagster ends the run where it still can.
DEADLINE_SECONDS: Final = MAX_RUN_SECONDS + 900
# Long enough for a person to read a failed pod's log.
KEPT_SECONDS: Final = 86_400
GRACE_SECONDS: Final = 60


def make_launcher() -> dict[str, Any]:
    """The launcher of runs. It holds names only: a Job's arguments contain all of it.

    The image is the code location's, so that a run executes the code that planned it.
    """
    return {
        "module": "dagster_k8s", "class": "K8sRunLauncher",
        "config": {
            "service_account_name": RUN_ACCOUNT,
            "instance_config_map": INSTANCE,
            "dagster_home": DAGSTER_HOME,
            "job_namespace": NAMESPACE,
            "image_pull_policy": "IfNotPresent",
            "env_config_maps": [CONFIG],
            "env_secrets": list(SECRETS),
            "volumes": volumes(),
            "volume_mounts": mounts(),
            "labels": {"app.kubernetes.io/part-of": "mlops-assets"},
            "resources": {
                "requests": {"cpu": "500m", "memory": "2Gi", "ephemeral-storage": "2Gi"},
                "limits": {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "24Gi"},
            },
            "security_context": container_security(),
            "run_k8s_config": {
                "pod_spec_config": {
                    "securityContext": pod_security(), "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": GRACE_SECONDS,
                },
                "job_spec_config": {
                    "activeDeadlineSeconds": DEADLINE_SECONDS,
                    "ttlSecondsAfterFinished": KEPT_SECONDS,
                    # Steps have retries of their own; a second pod would find the run begun.
                    "backoffLimit": 0,
                },
            },
            # Who may launch a run may not thereby choose an image, an account or a volume.
            "only_allow_user_defined_k8s_config_fields": {
                "container_config": {"resources": True},
                "pod_spec_config": {"nodeSelector": True, "tolerations": True},
            },
            "only_allow_user_defined_env_vars": [],
        },
    }


def make_instance() -> dict[str, Any]:
    """``dagster.yaml`` as data."""
    return {
        "storage": server_storage(),
        "local_artifact_storage": {
            "module": "dagster.core.storage.root", "class": "LocalArtifactStorage",
            "config": {"base_dir": f"{HOME}/dagster/artifacts"},
        },
        "compute_logs": {
            "module": "dagster.core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager", "config": {"base_dir": f"{HOME}/dagster/logs"},
        },
        "run_launcher": make_launcher(),
    } | common_instance()


class _Plain(yaml.SafeDumper):
    """Writes a value out each time that it occurs."""

    def ignore_aliases(self, *_: object) -> bool:
        return True


def dump(content: Any) -> str:
    """YAML in the order of its keys."""
    return yaml.dump(content, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)


def render_instance() -> str:
    """``dagster.yaml``."""
    return dump(make_instance())


def render_workspace() -> str:
    """``workspace.yaml``: the code location's service."""
    return dump(make_workspace(CODE_HOST, CODE_PORT))
