"""``mlops features``: what is known of an image, from the online feature store."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of
from mlops_assets.contracts.errors import PlatformError

if TYPE_CHECKING:
    from resources.feature_store import OnlineImage

IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}")


class UnknownImage(PlatformError):
    """An image of which the feature store has nothing, or no image id."""


@click.command(epilog=f"Example: mlops features {'9f86d081' * 8}")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE_ID...")
@profile_option
@json_option
def features(images: tuple[str, ...], profile: str | None, as_json: bool) -> None:
    """Show group, statistics and answers of an image as the online feature store has them.

    IMAGE_ID is the SHA-256 of the image's bytes, as `sha256sum FILE` prints it.
    """
    wrong = [each for each in images if not IMAGE_ID.fullmatch(each.lower())]
    if wrong:
        raise UnknownImage(f"`{wrong[0][:80]}` is no image id; give the 64 hex digits that "
                           "`sha256sum FILE` prints")
    from resources.feature_store import ImageFeatureStore

    found = ImageFeatureStore(settings_of(profile).home).online([each.lower() for each in images])
    unknown = [each.image_id for each in found if not each.known]
    if unknown:
        raise UnknownImage(
            f"nothing is known of image {unknown[0]}: it is in no validated batch, and was not "
            "answered in an hour that `online_features` has; materialize it if the image is new")
    if as_json:
        print_json([asdict(each) for each in found])
        return
    for each in found:
        _print(each)


def _print(image: OnlineImage) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from mlops_assets.contracts.image_statistics import NAMES

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{image.image_id}[/]")
    table = Table(box=box.SIMPLE, show_header=False)
    known, told = image.features, image.history
    if known is None:
        table.add_row("batch", "in no batch")
    else:
        group = known["near_duplicate_group"]
        table.add_row("batch", known["batch"])
        table.add_row("near-duplicate group",
                      "its own" if group == image.image_id else group)
        table.add_row("embedding", f"{len(known['embedding'])} values")
        for name in NAMES:
            table.add_row(name, f"{known[name]:.4g}")
    if told is None:
        table.add_row("answers", "none yet")
    else:
        table.add_row("answers", str(told["answers"]))
        table.add_row("last answer", f"{told['predicted_class']} {told['confidence']:.1%} by model "
                      f"{told['model_version'][:16]}")
        table.add_row("last classes", ", ".join(told["last_classes"]))
    console.print(table)
