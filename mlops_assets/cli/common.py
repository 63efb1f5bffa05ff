"""What the commands share: options, settings of a profile, output, signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mlops_assets.config import Settings
    from resources.platform_db import PlatformDatabase

Command = TypeVar("Command", bound=Callable[..., Any])


def profile_option(command: Command) -> Command:
    """``--profile NAME``, before ``MLOPS_PROFILE``."""
    return click.option(
        "--profile", metavar="NAME", help="Settings of configs/profiles/NAME.yaml "
        "(else $MLOPS_PROFILE, else default).",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``: one JSON document on stdout, nothing else."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def settings_of(profile: str | None) -> Settings:
    """The settings of a profile, which this process's children inherit too."""
    from mlops_assets.config import PROFILE_VARIABLE, load_settings

    settings = load_settings(profile)
    os.environ[PROFILE_VARIABLE] = settings.profile
    return settings


@contextmanager
def opened_database(profile: str | None) -> Iterator[PlatformDatabase]:
    """The platform database of a profile's home, until the block ends."""
    from resources.platform_db import PlatformDatabase

    database = PlatformDatabase(settings_of(profile).home)
    try:
        yield database
    finally:
        database.close()


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    import json

    click.echo(json.dumps(value, indent=2, sort_keys=True, default=str))


def to_stderr(line: str) -> None:
    """A progress line; stdout is kept for results."""
    click.echo(line, err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise KeyboardInterrupt, also under a script's ``&``."""
    before = {
        number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within, a second Ctrl-C does not stop the cleaning up after the first."""
    before = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
