"""What ``dagster.yaml`` says wherever the platform runs: on one machine and on a cluster."""

from __future__ import annotations

from typing import Any, Final

from resources.data_services import DAGSTER_DATABASE

CODE_LOCATION: Final = "mlops_assets"
MAX_RUN_SECONDS: Final = 12 * 3600
# A pod may wait for a node and for its image.
START_SECONDS: Final = 300


def common_instance(start_seconds: int = START_SECONDS) -> dict[str, Any]:
    """No telemetry, one run queue, one training at a time, and nothing kept for ever.

    A run that has not started ``start_seconds`` after it was launched has failed: whoever launched
    it was killed in between, and the sensor that asked for it waits.

    Missing are the storage and, where runs are not processes of this machine, their launcher.
    """
    threads = {"use_threads": True, "num_workers": 4}
    kept = {"purge_after_days": {"skipped": 7, "failure": 30, "success": 90}}
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "freshness": {"enabled": True},
        "run_coordinator": {
            "module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": 1},
        },
        # Training takes the pool `gpu`; two at a time would share memory and slow each other.
        "concurrency": {
            "runs": {"max_concurrent_runs": 4},
            "pools": {"default_limit": 1, "granularity": "op"},
        },
        "run_monitoring": {
            "enabled": True, "poll_interval_seconds": 30, "start_timeout_seconds": start_seconds,
            "max_runtime_seconds": MAX_RUN_SECONDS, "free_slots_after_run_end_seconds": 5,
        },
        "run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False},
        "sensors": dict(threads),
        "schedules": dict(threads),
        "retention": {"sensor": {**kept}, "schedule": {**kept}},
    }


def server_storage() -> dict[str, Any]:
    """Dagster's storage on a server, by the name of the variable that holds the address.

    ``dagster.yaml`` is repeated in arguments of run pods: the address itself has no place in it.
    """
    return {"postgres": {"postgres_url": {"env": DAGSTER_DATABASE}}}


def make_workspace(host: str, port: int) -> dict[str, Any]:
    """``workspace.yaml`` as data: the one running code server."""
    server = {"host": host, "port": port, "location_name": CODE_LOCATION}
    return {"load_from": [{"grpc_server": server}]}
