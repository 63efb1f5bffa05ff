"""``mlops predict``: classify image files."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of


def service_url(profile: str | None) -> str:
    """Address of this machine's service: the recorded port, else the configured one."""
    from deploy.layout import Layout
    from deploy.ports import recorded_ports

    settings = settings_of(profile)
    recorded = recorded_ports(Layout(settings.home).ports)
    port = recorded.service if recorded else settings.platform.service_port
    return f"http://{settings.platform.host}:{port}"


@click.command(epilog="Example: mlops predict boot.png --json")
@click.argument("files", nargs=-1, required=True, metavar="FILE...",
                type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", help="Address of the service (else this machine's).")
@profile_option
@json_option
def predict(files: tuple[Path, ...], url: str | None, profile: str | None, as_json: bool) -> None:
    """Send each image FILE to the service and print label, confidence, model and prediction id."""
    from resources.service_api import ServiceApi

    found = []
    with closing(ServiceApi(url or service_url(profile))) as api:
        for path in files:
            answer = api.predict(path.read_bytes(), name=str(path))
            found.append({"file": str(path), **answer.model_dump()})
            if not as_json:
                model = f"{answer.model.name} {answer.model.version}"
                said = f"{answer.label}  {answer.confidence:.1%}  {model}  {answer.prediction_id}"
                click.echo(f"{path}: {said}")
    if as_json:
        print_json(found)
