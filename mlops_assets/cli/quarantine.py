"""``mlops quarantine``: images that were left out, and the way back for those that are fine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of
from mlops_assets.contracts.errors import PlatformError

if TYPE_CHECKING:
    import polars as pl

# What a person may overrule: the image can be decoded, and is only unusual.
RELEASABLE: Final = frozenset({"blank", "too-small", "wrong-extension"})
SHOWN: Final = 16


class CanNotRelease(PlatformError):
    """An image is not in quarantine, or nothing that a person says makes it usable."""


@click.group(epilog="Example: mlops quarantine list")
def quarantine() -> None:
    """See the images that were left out, and let those in that are fine."""


def _frames(home: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """Batch and its quarantine, without the images' bytes."""
    import polars as pl

    from mlops_assets.contracts.manifest import QUARANTINE_FILE
    from resources.store import open_store

    store = open_store(home)
    for ref in store.pin_all("quarantined_images"):
        frame = pl.scan_parquet(store.path(ref) / QUARANTINE_FILE).drop("content").collect()
        yield str(ref.partition), frame


@quarantine.command("list", epilog="Example: mlops quarantine list --reason blank")
@click.option("--batch", metavar="NAME", help="Of this batch only.")
@click.option("--reason", metavar="REASON", help="With this reason only.")
@profile_option
@json_option
def show(batch: str | None, reason: str | None, profile: str | None, as_json: bool) -> None:
    """List quarantined images by batch, with the reason of each.

    Pictures of them are in the latest materialization of `quarantined_images`.
    """
    from rich.console import Console
    from rich.table import Table

    rows = [{"batch": name, **row} for name, frame in _frames(settings_of(profile).home)
            for row in frame.to_dicts()
            if batch in (None, name) and reason in (None, row["reason"])]
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("no image is in quarantine")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("batch", "reason", "image", "label", "file", "detail"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row["batch"], row["reason"], row["image_id"][:SHOWN], row["label"],
                      row["source"], row["detail"])
    Console(file=sys.stdout).print(table)


@quarantine.command(epilog="Example: mlops quarantine release 9f86d081 --reason 'a white wall'")
@click.argument("image", metavar="IMAGE_SHA256")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def release(image: str, reason: str, profile: str | None, as_json: bool) -> None:
    """Let a quarantined image into the datasets to come.

    IMAGE_SHA256 is the hash of the image, or enough of its beginning. Only what is blank, small or
    has the wrong extension can be let in: anything else can not be decoded, or stands in the
    dataset already.
    """
    from resources.person import operating_user
    from resources.released import release as let_in

    home = settings_of(profile).home
    found = {(batch, row["image_id"], row["reason"], row["detail"])
             for batch, frame in _frames(home) for row in frame.to_dicts()
             if row["image_id"].startswith(image.lower())}
    if len({each[1] for each in found}) != 1:
        raise CanNotRelease(f"{len({each[1] for each in found})} images in quarantine begin with "
                            f"`{image}`; see `mlops quarantine list`")
    refused = [each for each in sorted(found) if each[2] not in RELEASABLE]
    if refused:
        raise CanNotRelease(f"{refused[0][1]} is in quarantine as {refused[0][2]} "
                            f"({refused[0][3]}), which no release mends")
    batch, wanted, *_ = min(found)
    added = let_in(home, wanted, actor=operating_user(), reason=reason)
    if as_json:
        print_json({"image_sha256": wanted, "batch": batch, "added": added})
        return
    click.echo(f"{wanted} {'is' if added else 'was already'} let in; materialize "
               f"`validated_images` of batch {batch} to have it in the dataset")
