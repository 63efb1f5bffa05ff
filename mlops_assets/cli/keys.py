"""``mlops keys``: who may call the service; every change is audited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from mlops_assets.cli.common import (
    json_option,
    opened_database,
    print_json,
    profile_option,
    to_stderr,
)
from resources.person import operating_user

if TYPE_CHECKING:
    from resources.api_keys import ApiKey, ApiKeys

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST: Final = timedelta(days=3650)


@click.group(epilog="Example: mlops keys list")
def keys() -> None:
    """Make, list and revoke API keys of the service."""


@keys.command(epilog="Example: mlops keys create --name shop --scope predict --expires 30d")
@click.option("--name", required=True, metavar="NAME", help="Who or what will use it.")
@click.option(
    "--scope", "scopes", required=True, multiple=True, metavar="SCOPE",
    help="predict, explain, feedback or admin (everything); repeat for several.",
)
@click.option("--expires", metavar="TIME", help="Such as 12h, 30d or 8w; never, if not given.")
@click.option("--rate", metavar="RATE", help="Such as 600/minute; the service's, if not given.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def create(
    name: str, scopes: tuple[str, ...], expires: str | None, rate: str | None, reason: str,
    profile: str | None, as_json: bool,
) -> None:
    """Make a key and print it, once: it is kept nowhere."""
    with _opened(profile) as database:
        made = database.create(
            name=name, scopes=scopes, expires_at=_moment(expires), rate=rate,
            actor=operating_user(), reason=reason.strip(),
        )
    if as_json:
        print_json(_shown(made.key) | {"key": made.text})
    else:
        to_stderr(f"key {made.key.id} for {name}; it is shown only now:")
        click.echo(made.text)


@keys.command("list", epilog="Example: mlops keys list --json")
@profile_option
@json_option
def list_keys(profile: str | None, as_json: bool) -> None:
    """Show every key, without its secret."""
    with _opened(profile) as database:
        found = database.read_all()
    if as_json:
        print_json({"keys": [_shown(key) for key in found]})
    else:
        _print_keys(found)


@keys.command(epilog="Example: mlops keys revoke 3f0c9a6b12de --reason 'the laptop was lost'")
@click.argument("key_id", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def revoke(key_id: str, reason: str, profile: str | None, as_json: bool) -> None:
    """End a key; running services stop taking it within seconds."""
    if not reason.strip():
        raise click.UsageError("--reason must say why")
    with _opened(profile) as database:
        key = database.revoke(key_id, actor=operating_user(), reason=reason.strip())
    if as_json:
        print_json(_shown(key))
    else:
        click.echo(f"key {key.id} of {key.name} is revoked")


@contextmanager
def _opened(profile: str | None) -> Iterator[ApiKeys]:
    from resources.api_keys import ApiKeys

    with opened_database(profile) as database:
        yield ApiKeys(database)


def _moment(expires: str | None) -> datetime | None:
    """The moment after a time such as ``30d`` from now."""
    if expires is None:
        return None
    found = re.fullmatch(r"(\d{1,6})([mhdw])", expires.strip())
    time = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta(0)
    if not timedelta(0) < time <= LONGEST:
        raise click.UsageError(
            f"--expires is `{expires[:40]}`; give a time up to ten years, such as 12h, 30d or 8w"
        )
    return datetime.now(UTC) + time


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    expired = key.expires_at is not None and key.expires_at <= datetime.now(UTC)
    return "expired" if expired else "active"


def _shown(key: ApiKey) -> dict[str, Any]:
    moments = {"created_at": key.created_at, "expires_at": key.expires_at,
               "revoked_at": key.revoked_at}
    return {
        "id": key.id, "name": key.name, "scopes": list(key.scopes), "rate": key.rate,
        "state": _state(key),
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
    }


def _print_keys(found: list[ApiKey]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not found:
        click.echo("there are no keys; make one with `mlops keys create`")
        return
    table = Table(box=box.SIMPLE)
    for column in ("id", "name", "scopes", "rate", "expires", "state"):
        table.add_column(column, overflow="fold")
    for key in found:
        expires = f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"
        state = _state(key)
        table.add_row(key.id, escape(key.name), " ".join(key.scopes), key.rate or "-", expires,
                      state, style=None if state == "active" else "dim")
    Console(highlight=False).print(table)
