"""``python -m deploy.code_location``: the code location of containers, over gRPC.

Where runs are processes beside it, in its own container, none can have outlived the one before:
those that Dagster still takes for running are ended first, and give back their places in the queue.
On Kubernetes runs are Jobs of their own, which the reaper looks after.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from deploy.prepare_dagster import cancel_lost_runs
from deploy.programs import DEFINITIONS


def main() -> None:
    """Replace this process by Dagster's, so that signals reach it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=3001)
    options = parser.parse_args()
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        if isinstance(instance.run_launcher, dg.DefaultRunLauncher):
            lost = cancel_lost_runs(instance)
            sys.stderr.write(f"ended {lost} runs of the container before\n")
            sys.stderr.flush()
    dagster = Path(sys.executable).parent / "dagster"
    # An argument list, no shell.
    os.execv(dagster, [  # noqa: S606  # nosec B606
        str(dagster), "api", "grpc", "-m", DEFINITIONS, "-h", options.host,
        "-p", str(options.port),
    ])


if __name__ == "__main__":
    main()
