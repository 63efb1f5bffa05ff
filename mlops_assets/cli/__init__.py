"""The ``mlops`` command. A subcommand's module is imported only when that command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click

from mlops_assets.contracts.errors import PlatformError

INTERRUPTED: Final = 130

# Command -> module, its attribute, and the line that `mlops --help` shows without an import.
COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "as-of": ("mlops_assets.cli.as_of", "as_of", "Show the platform as it was at a time."),
    "data": ("mlops_assets.cli.data", "data", "Bring the dataset to this machine."),
    "demo": ("mlops_assets.cli.demo", "demo", "From raw images to a served, monitored model."),
    "down": ("mlops_assets.cli.platform", "down", "Stop the platform."),
    "features": ("mlops_assets.cli.features", "features", "Show what is known of an image."),
    "forget": ("mlops_assets.cli.forget", "forget", "Leave an image out of all future datasets."),
    "keys": ("mlops_assets.cli.keys", "keys", "Make, list and revoke API keys of the service."),
    "lineage": ("mlops_assets.cli.provenance", "lineage", "Show what something was made from."),
    "predict": ("mlops_assets.cli.predict", "predict", "Classify image files."),
    "quarantine": ("mlops_assets.cli.quarantine", "quarantine", "See and release bad images."),
    "reproduce": ("mlops_assets.cli.reproduce", "reproduce", "Make a model again and compare."),
    "rollout": ("mlops_assets.cli.rollout", "rollout", "See and change what serves."),
    "snapshot": ("mlops_assets.cli.snapshot", "snapshot", "Copy the platform, put a copy back."),
    "store": ("mlops_assets.cli.store", "store", "Keep a copy of all artifacts in a bucket."),
    "story": ("mlops_assets.cli.story", "story", "Drift, repair and a bad model, start to end."),
    "status": ("mlops_assets.cli.platform", "status", "Show each program and whether it is ready."),
    "traffic": ("mlops_assets.cli.traffic_command", "traffic", "Send images, shifted by name."),
    "up": ("mlops_assets.cli.platform", "up", "Start the platform and wait until it is ready."),
    "users": ("mlops_assets.cli.users", "users", "Say who may sign in to the console."),
    "verify": ("mlops_assets.cli.provenance", "verify", "Check every hash behind something."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, so that help imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in sorted(COMMANDS)])

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, **extra: Any
    ) -> Any:
        """Run; every failure is one line on stderr: 0 done, 1 failed, 130 interrupted."""
        if not extra.pop("standalone_mode", True):
            return super().main(args, standalone_mode=False, **extra)
        try:
            result = super().main(args, standalone_mode=False, **extra)
        except (KeyboardInterrupt, click.exceptions.Abort):
            click.echo("mlops: interrupted", err=True)
            sys.exit(INTERRUPTED)
        except click.ClickException as error:
            fail(error.format_message())
        except PlatformError as error:
            fail(str(error))
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough.
            sys.exit(1)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            fail(f"{where}{error.strerror or error}")
        sys.exit(result if isinstance(result, int) else 0)


def fail(message: str) -> None:
    """Say what went wrong in one line, and exit with 1."""
    click.echo(f"mlops: {' '.join(message.split())}", err=True)
    sys.exit(1)


@click.command(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `mlops demo --profile demo`.",
)
@click.version_option(package_name="mlops-assets", prog_name="mlops")
def main() -> None:
    """Keep an image model right in production."""
