"""Who executes the steps of a run: its own process, or a Kubernetes Job for each."""

from typing import Any, Final

import dagster as dg

from mlops_assets.config import ComputeSettings

TRAINING: Final = "trained_model"
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108  # nosec B108


def choose_executor(compute: ComputeSettings, nodes: int = 1) -> dg.ExecutorDefinition:
    """The executor of every job. Where training has several ``nodes``, its step only follows."""
    if compute.executor == "in_process":
        return dg.in_process_executor
    from dagster_k8s import k8s_job_executor

    return k8s_job_executor.configured({
        # A step's Job ends with its run's pod, however that ended.
        "enable_owner_references": True,
        "max_concurrent": compute.steps,
        "per_step_k8s_config": {TRAINING: training_pod(compute)} if nodes == 1 else {},
    })


def training_pod(compute: ComputeSettings) -> dict[str, Any]:
    """What the training's pod has that the others have not.

    As configuration of the step: Dagster does not pass tags of a run on to its steps' pods.
    """
    gpus = {compute.gpu_resource: compute.gpus} if compute.gpus else {}
    container: dict[str, Any] = {
        "resources": {
            "requests": {"cpu": compute.training_cpu, "memory": compute.training_memory, **gpus},
            "limits": {"cpu": compute.training_cpu, "memory": compute.training_memory, **gpus},
        },
        # Workers hand each other batches through it; a container's own holds 64 MiB.
        "volumeMounts": [{"name": "shared-memory", "mountPath": SHARED_MEMORY}],
    }
    if compute.training_image:
        container["image"] = compute.training_image
    pod: dict[str, Any] = {
        "volumes": [{"name": "shared-memory", "emptyDir": {
            "medium": "Memory", "sizeLimit": compute.shared_memory}}],
    }
    if compute.tolerations:
        pod["tolerations"] = list(compute.tolerations)
    if compute.node_labels:
        pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [
                {"key": key, "operator": "In", "values": list(values)}
                for key, values in compute.node_labels.items()
            ]}],
        }}}
    return {"container_config": container, "pod_spec_config": pod}
