"""``mlops users``: who may sign in to the console."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import json_option, opened_database, print_json, profile_option
from resources.person import operating_user

if TYPE_CHECKING:
    from resources.console_users import ConsoleUsers


@click.group(epilog="Example: mlops users create ada --role operator --reason 'on call'")
def users() -> None:
    """Say who may sign in to the console."""


@users.command(epilog="Example: mlops users create ada --role operator --reason 'on call'")
@click.argument("name")
@click.option("--role", type=click.Choice(("viewer", "operator", "admin")), default="viewer",
              show_default=True, help="viewer: look; operator: change; admin: keys too.")
@click.password_option(help="Asked for when it is not given; MLOPS_USER_PASSWORD works too.",
                       envvar="MLOPS_USER_PASSWORD")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def create(name: str, role: str, password: str, reason: str, profile: str | None,
           as_json: bool) -> None:
    """Let a person in."""
    from resources.console_users import ROLES

    if not reason.strip():
        raise click.UsageError("--reason must say why")
    with _opened(profile) as people:
        user = people.create(name, next(each for each in ROLES if each == role), password,
                             actor=operating_user(), reason=reason.strip())
    if as_json:
        print_json({"name": user.name, "role": user.role})
    else:
        click.echo(f"{user.name} may sign in as {user.role}")


@users.command("list", epilog="Example: mlops users list --json")
@profile_option
@json_option
def list_users(profile: str | None, as_json: bool) -> None:
    """Show who may sign in."""
    with _opened(profile) as people:
        found = people.read_all()
    if as_json:
        print_json({"users": [{"name": each.name, "role": each.role,
                               "created_at": each.created_at.isoformat()} for each in found]})
    elif not found:
        click.echo("nobody may sign in: the console asks for no name, on this machine alone")
    for user in [] if as_json else found:
        click.echo(f"{user.name}  {user.role}  since {user.created_at:%Y-%m-%d}")


@users.command(epilog="Example: mlops users remove ada --reason 'has left'")
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def remove(name: str, reason: str, profile: str | None, as_json: bool) -> None:
    """Let a person in no more."""
    if not reason.strip():
        raise click.UsageError("--reason must say why")
    with _opened(profile) as people:
        people.remove(name, actor=operating_user(), reason=reason.strip())
    if as_json:
        print_json({"removed": name})
    else:
        click.echo(f"{name} may not sign in any more")


@contextmanager
def _opened(profile: str | None) -> Iterator[ConsoleUsers]:
    from resources.console_users import ConsoleUsers

    with opened_database(profile) as database:
        yield ConsoleUsers(database)
