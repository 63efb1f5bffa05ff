"""``mlops up``, ``down`` and ``status``: the one-machine platform."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import (
    interruptible,
    json_option,
    print_json,
    profile_option,
    settings_of,
    to_stderr,
    uninterrupted,
)

if TYPE_CHECKING:
    from deploy.machine import Machine, ProgramStatus


def open_machine(profile: str | None) -> Machine:
    """The platform of ``PLATFORM_HOME`` with the settings of a profile."""
    from deploy.machine import Machine

    return Machine(settings_of(profile))


def _rows(machine: Machine) -> list[dict[str, object]]:
    return [asdict(each) for each in machine.status()]


@click.command(epilog="Example: MLOPS__PLATFORM__DAGSTER_PORT=0 mlops up --profile demo")
@profile_option
@json_option
def up(profile: str | None, as_json: bool) -> None:
    """Start the platform in the background and wait until it is ready.

    Run again, it starts only what does not run; after a change of code or settings it restarts.
    """
    machine = open_machine(profile)
    with interruptible():
        started = machine.up(to_stderr)
    if as_json:
        print_json({"started": started, "programs": _rows(machine)})
        return
    click.echo("the platform is ready" if started else "the platform was ready already")
    for each in machine.status():
        if each.url and each.ready:
            click.echo(f"  {each.name:10} {each.url}")
    click.echo("stop it with `mlops down`")


@click.command(epilog="Example: mlops down")
@profile_option
@json_option
def down(profile: str | None, as_json: bool) -> None:
    """Stop every program of the platform and wait for their end."""
    machine = open_machine(profile)
    with uninterrupted():
        ran = machine.down()
    if as_json:
        print_json({"stopped": ran})
    else:
        click.echo("the platform is stopped" if ran else "the platform was not running")


@click.command(epilog="Example: mlops status --json")
@profile_option
@json_option
def status(profile: str | None, as_json: bool) -> None:
    """Show every program and whether it is ready; exit with 0 only if all are."""
    machine = open_machine(profile)
    found = machine.status()
    if as_json:
        print_json({"programs": [asdict(each) for each in found], "ready": _all_ready(found)})
    else:
        _print_table(found)
    if not _all_ready(found):
        sys.exit(1)


def _all_ready(found: list[ProgramStatus]) -> bool:
    return all(each.ready is not False for each in found)


def _print_table(found: list[ProgramStatus]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in ("program", "state", "ready", "pid", "up", ""):
        table.add_column(column, overflow="fold")
    words = {True: "yes", False: "no", None: "-"}
    for each in found:
        pid, uptime = (str(each.pid), f"{each.uptime} s") if each.pid else ("", "")
        table.add_row(
            each.name, each.state.lower(), words[each.ready], pid, uptime, each.detail or each.url
        )
    Console(highlight=False).print(table)
