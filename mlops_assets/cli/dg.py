"""Dagster's ``dg``, with ``dg launch --assets`` over assets of different partitions.

Dagster 1.13 launches a selection only when all its assets share one partitions definition and
needs ``--partition`` as soon as one has partitions, so ``dg launch --assets '*'`` fails on any
graph that mixes batches, hours and unpartitioned assets. Here such a selection becomes several
runs, in the order of the graph. Everything else is passed on as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mlops_assets.contracts.errors import PlatformError


def _argument(arguments: Sequence[str], name: str) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


def join_platform() -> None:
    """Where this home's platform runs: its Dagster keeps the runs, its MLflow the trainings.

    Variables that are set already stay, such as another ``DAGSTER_HOME``.
    """
    from deploy.layout import Layout
    from deploy.ports import recorded_ports
    from deploy.programs import make_environment
    from deploy.supervisor import Supervisor
    from mlops_assets.config import load_settings

    settings = load_settings()
    layout = Layout(settings.home)
    ports = recorded_ports(layout.ports)
    if ports is None or not Supervisor(layout).is_running():
        return
    running = make_environment(settings, layout, ports)
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        os.environ.setdefault(name, running[name])


def main() -> None:
    """Entry point of ``dg``.

    ``--assets`` with nothing but ``--partition`` beside it is launched here; a launch with other
    options, and every other command, is Dagster's.
    """
    arguments = sys.argv[1:]
    assets = _argument(arguments, "--assets")
    partition = _argument(arguments, "--partition")
    ours = {"launch", "--assets", assets, "--partition", partition,
            f"--assets={assets}", f"--partition={partition}"}
    if arguments[:1] == ["launch"] and assets is not None and set(arguments) <= ours:
        from mlops_assets.cli.launch import launch_selection

        try:
            join_platform()
            sys.exit(0 if launch_selection(assets, partition) else 1)
        except PlatformError as error:
            sys.exit(f"dg launch: {error}")
    from dagster_dg_cli.cli import main as dagster_main

    dagster_main()  # type: ignore[no-untyped-call]
