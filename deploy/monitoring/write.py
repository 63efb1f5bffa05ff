"""Writes what Prometheus and Alertmanager read where each has a host of its own.

``python -m deploy.monitoring.write --out FOLDER --service HOST:PORT …``. On one machine `mlops up`
does this by itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.layout import Layout
from deploy.monitoring.render import Targets, render_monitoring
from deploy.monitoring.token import ensure_token
from deploy.programs import make_clock
from mlops_assets.config import PROJECT_ROOT, load_settings
from mlops_assets.contracts.errors import PlatformError
from resources.durable import write_bytes


def write_monitoring(layout: Layout, out: Path, targets: Targets, profile: str | None) -> list[str]:
    """Write the files into ``out``, make the token and the folders, and name what was written.

    Raises:
        PlatformError: settings or receivers that can not be used.
    """
    settings = load_settings(profile)
    receivers = settings.platform.receivers
    files = render_monitoring(
        settings, targets, clock=make_clock(settings), token=layout.alert_token,
        receivers=PROJECT_ROOT / receivers if receivers else None)
    ensure_token(layout.alert_token)
    for folder in (out, layout.series, layout.silences):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_bytes(out / name, content.encode())
    return sorted(files)


@click.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Where they go.")
@click.option("--service", required=True, metavar="HOST:PORT")
@click.option("--console", required=True, metavar="HOST:PORT")
@click.option("--prometheus", required=True, metavar="HOST:PORT")
@click.option("--alertmanager", required=True, metavar="HOST:PORT")
@click.option("--mlflow", default="", metavar="HOST:PORT", help="MLflow, where it is measured.")
@click.option("--node", default="", metavar="HOST:PORT", help="A node exporter, if there is one.")
@click.option("--profile", default=None, help="demo, default or production.")
def main(
    out: Path, service: str, console: str, prometheus: str, alertmanager: str,
    mlflow: str, node: str, profile: str | None,
) -> None:
    """Write the files; PLATFORM_HOME names the platform."""
    targets = Targets(service=service, console=console, prometheus=prometheus,
                      alertmanager=alertmanager, mlflow=mlflow, node=node)
    try:
        home = load_settings(profile).home
        names = write_monitoring(Layout(home), out, targets, profile)
    except PlatformError as error:
        sys.exit(f"monitoring: {error}")
    click.echo(f"{out}: {', '.join(names)}")


if __name__ == "__main__":
    main()
