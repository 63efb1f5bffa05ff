"""``mlops snapshot``: the whole platform home, copied while it works, and put back."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(epilog="Example: mlops snapshot create /backups/monday")
def snapshot() -> None:
    """Copy the whole platform, and put a copy back."""


@snapshot.command(epilog="Example: mlops snapshot create /backups/monday")
@click.argument("folder", type=FOLDER)
@profile_option
@json_option
def create(folder: Path, profile: str | None, as_json: bool) -> None:
    """Copy databases, artifacts, journal and bentos into FOLDER, while requests are served."""
    from resources.snapshot import create as take

    home = settings_of(profile).home
    _told(take(home, folder, _progress()), f"{home} is in {folder}", as_json=as_json)


@snapshot.command(epilog="Example: mlops snapshot restore /backups/monday --home /srv/platform")
@click.argument("folder", type=FOLDER)
@click.option("--home", type=FOLDER, required=True,
              help="The platform's home that it becomes; it must not be there yet.")
@json_option
def restore(folder: Path, home: Path, as_json: bool) -> None:
    """Check every byte of a snapshot and make it a platform's home."""
    from resources.snapshot import restore as put_back

    manifest = put_back(folder, home, _publish, _progress())
    _told(manifest, f"{folder} is now {home}; start it with PLATFORM_HOME={home} mlops up",
          as_json=as_json)


def _publish(home: Path) -> None:
    """What the service follows must be the state that the copied database has."""
    from mlops_assets.serving.states import publish_state
    from resources.platform_db import PlatformDatabase, has_database

    if has_database(home):
        with closing(PlatformDatabase(home)) as database:
            publish_state(home, database.read_state())


def _progress() -> Any:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)

    def tell(done: int, files: int) -> None:
        if console.is_terminal and (done % 50 == 0 or done == files):
            console.print(f"{done} of {files} files", end="\r")

    return tell


def _told(manifest: dict[str, Any], line: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"created_at": manifest["created_at"], "files": len(manifest["files"])})
    else:
        click.echo(f"{len(manifest['files'])} files of {manifest['created_at'][:19]}: {line}")
