"""Parts of a pod that runs of Dagster need too, with the names that deploy/k8s/base gives them."""

from __future__ import annotations

from typing import Any, Final

NAMESPACE: Final = "mlops"
HOME: Final = "/platform"
DAGSTER_HOME: Final = "/opt/dagster"
TEMPORARY: Final = "/tmp"  # noqa: S108  # nosec B108
USER: Final = 10001
# ConfigMaps and Secrets of which every key becomes a variable.
CONFIG: Final = "platform"
SECRETS: Final = ("dagster-database", "platform-database", "artifacts", "service-redis")
INSTANCE: Final = "dagster-instance"
RUN_ACCOUNT: Final = "dagster-run"


def pod_security() -> dict[str, Any]:
    """Nobody's root; the shared volume belongs to the group."""
    return {
        "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """As Pod Security `restricted` asks, and nothing of the image can be changed."""
    return {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def volumes() -> list[dict[str, Any]]:
    """The platform's home, Dagster's instance and a place for temporary files."""
    return [
        {"name": "platform", "persistentVolumeClaim": {"claimName": "platform"}},
        {"name": "dagster", "configMap": {"name": INSTANCE}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "20Gi"}},
    ]


def mounts() -> list[dict[str, Any]]:
    """Where a container finds them."""
    return [
        {"name": "platform", "mountPath": HOME},
        {"name": "dagster", "mountPath": DAGSTER_HOME, "readOnly": True},
        {"name": "tmp", "mountPath": TEMPORARY},
    ]
