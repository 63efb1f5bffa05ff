"""``mlops store``: the copy of all artifacts behind ``MLOPS_ARTIFACTS_URL``, and the way back."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of
from mlops_assets.contracts.errors import PlatformError

if TYPE_CHECKING:
    from resources.remote_store import RemoteStore


class NoCopy(PlatformError):
    """There is no copy, or nothing to copy."""


@click.group(epilog="Example: mlops store push")
def store() -> None:
    """Keep a copy of all artifacts in a bucket, and bring them back."""


@store.command(epilog="Example: MLOPS_ARTIFACTS_URL=s3://bucket/platform mlops store push")
@profile_option
@json_option
def push(profile: str | None, as_json: bool) -> None:
    """Copy what was made before there was a copy; later artifacts are copied as they are made."""
    from rich.progress import track

    from resources.remote_copy import push_all

    home = settings_of(profile).home
    root, remote = _copy(home)
    quiet = as_json or not sys.stderr.isatty()

    def show(folders: list[Path]) -> Iterable[Path]:
        return track(folders, "Copying", disable=quiet)

    told = push_all(root, remote, show)
    _tell(told, f"{told['versions']} versions and {told['files']} small files are in {remote.url}",
          as_json=as_json)


@store.command(epilog="Example: MLOPS_ARTIFACTS_URL=s3://bucket/platform mlops store pull")
@click.option("--content", is_flag=True,
              help="Also every artifact's bytes now; without, each comes when it is first read.")
@profile_option
@json_option
def pull(content: bool, profile: str | None, as_json: bool) -> None:
    """Make an empty home the one that the copy is of."""
    from resources.remote_copy import pull_all

    home = settings_of(profile).home
    root, remote = _copy(home)
    told = pull_all(root, remote, content=content)
    _tell(told, f"{told['files']} small files and {told['versions']} versions are in {root}",
          as_json=as_json)


def _copy(home: Path) -> tuple[Path, RemoteStore]:
    from resources.data_services import ARTIFACTS
    from resources.store import open_store

    opened = open_store(home)
    if opened.remote is None:
        raise NoCopy(f"{ARTIFACTS} is not set; set it to a URL as s3://bucket/name")
    return opened.root, opened.remote


def _tell(told: dict[str, int], line: str, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
    else:
        click.echo(line)
