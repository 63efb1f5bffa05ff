"""``mlops traffic``: real images sent to the service, shifted by name."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

import click

from mlops_assets.cli.common import (
    json_option,
    print_json,
    profile_option,
    settings_of,
    to_stderr,
)
from mlops_assets.cli.predict import service_url
from mlops_assets.cli.shifts import SHIFTS

if TYPE_CHECKING:
    from mlops_assets.cli.generator import Tally

IMAGES: Final = 4_000
TELL_SECONDS: Final = 5.0
SHIFT_HELP: Final = "; ".join(f"{name}: {what}" for name, (_, what) in SHIFTS.items())


@click.command(epilog="Example: mlops traffic --shift rotated --rate 50 --seconds 60")
@click.option("--shift", "shift_name", type=click.Choice(list(SHIFTS)), default="none",
              show_default=True, help=SHIFT_HELP)
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=20.0, show_default=True,
              help="Images a second.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=30.0,
              show_default=True)
@click.option("--labelled", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="Share of the answers that get their true label.")
@click.option("--delay", type=click.FloatRange(0), default=2.0, show_default=True,
              help="Seconds until a label comes.")
@click.option("--url", help="Address of the service (else this machine's).")
@profile_option
@json_option
def traffic(
    shift_name: str, rate: float, seconds: float, labelled: float, delay: float,
    url: str | None, profile: str | None, as_json: bool,
) -> None:
    """Send labelled images that no model was trained on, and tell the true labels later."""
    from mlops_assets.cli.generator import Generator
    from mlops_assets.cli.traffic import unseen_images
    from resources.service_api import ServiceApi

    settings = settings_of(profile)
    images = unseen_images(settings, IMAGES)
    with closing(ServiceApi(url or service_url(profile))) as api:
        running = Generator(api, images, rate=rate, shift_name=shift_name, labelled=labelled,
                            delay=delay)
        with running:
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                time.sleep(min(TELL_SECONDS, left))
                to_stderr(_line(running.tally))
    tally = running.tally
    if as_json:
        print_json({"shift": shift_name, "sent": tally.sent, "accuracy": tally.accuracy,
                    "labels": tally.labels, "failed": tally.failed,
                    "last_error": tally.last_error})
    else:
        click.echo(_line(tally))
    if tally.failed and not tally.sent:
        raise click.ClickException(tally.last_error)


def _line(tally: Tally) -> str:
    failed = f", {tally.failed} failed ({tally.last_error})" if tally.failed else ""
    return (f"{tally.sent} answers, {tally.accuracy:.1%} right, {tally.labels} labels told"
            f"{failed}")
