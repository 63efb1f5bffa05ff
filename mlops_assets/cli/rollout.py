"""``mlops rollout``: see and change what serves; every change is audited."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of
from resources.person import operating_user

if TYPE_CHECKING:
    from mlops_assets.contracts.rollout import RolloutState
    from mlops_assets.serving.operate import Action
    from resources.platform_db import AuditEntry

LATEST: Final = 10


@click.group(epilog="Example: mlops rollout status")
def rollout() -> None:
    """See and change what serves."""


@rollout.command(epilog="Example: mlops rollout status --json")
@profile_option
@json_option
def status(profile: str | None, as_json: bool) -> None:
    """Show which model serves in which slot, and the latest changes."""
    from resources.platform_db import PlatformDatabase

    with closing(PlatformDatabase(settings_of(profile).home)) as database:
        state, audit = database.read_state(), database.read_audit()
    if as_json:
        latest = [asdict(entry) for entry in audit[-LATEST:]]
        print_json({"state": state.model_dump(mode="json"), "audit": latest})
    else:
        _print_state(state)
        _print_audit(audit[-LATEST:])


@rollout.command(epilog="Example: mlops rollout promote --reason 'better on coats'")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def promote(reason: str, profile: str | None, as_json: bool) -> None:
    """Make the challenger the champion."""
    _change("promote", reason, profile, as_json=as_json)


@rollout.command(epilog="Example: mlops rollout advance --reason 'shadow looks right'")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def advance(reason: str, profile: str | None, as_json: bool) -> None:
    """Take the challenger one step up: shadow, 1, 10, 50 % of the traffic, champion."""
    _change("advance", reason, profile, as_json=as_json)


@rollout.command(epilog="Example: mlops rollout hold --reason 'waiting for labels'")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def hold(reason: str, profile: str | None, as_json: bool) -> None:
    """Give the challenger no traffic until a person says so."""
    _change("hold", reason, profile, as_json=as_json)


@rollout.command(epilog="Example: mlops rollout rollback --reason 'errors since noon'")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def rollback(reason: str, profile: str | None, as_json: bool) -> None:
    """Take the challenger away; without one, let the previous champion serve again."""
    _change("rollback", reason, profile, as_json=as_json)


def _change(action: Action, reason: str, profile: str | None, *, as_json: bool) -> None:
    from mlops_assets.serving.operate import operate

    reason = reason.strip()
    if not reason:
        raise click.UsageError("--reason must say why")
    state = operate(settings_of(profile), action, reason, actor=operating_user(),
                    details={"by": "mlops rollout"})
    if as_json:
        print_json(state.model_dump(mode="json"))
    else:
        _print_state(state)


def _print_state(state: RolloutState) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not state.slots:
        click.echo("nothing serves yet; the first model that passes the gate will")
        return
    table = Table(box=box.SIMPLE, title=f"revision {state.revision}: {state.step}",
                  title_justify="left")
    for column in ("slot", "bento", "traffic"):
        table.add_column(column, overflow="fold")
    for slot, assignment in sorted(state.slots.items()):
        table.add_row(slot, assignment.bento_tag, f"{assignment.weight:.0%}")
    if state.previous_champion is not None:
        table.add_row("previous champion", state.previous_champion.bento_tag, "-", style="dim")
    Console(highlight=False).print(table)


def _print_audit(audit: list[AuditEntry]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, title="latest changes", title_justify="left")
    for column in ("at", "who", "did", "reason", "sha256"):
        table.add_column(column, overflow="fold")
    for entry in reversed(audit):
        table.add_row(entry.at[:19], escape(entry.actor), entry.action, escape(entry.reason),
                      entry.sha256[:12])
    if audit:
        Console(highlight=False).print(table)
