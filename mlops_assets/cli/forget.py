"""``mlops forget``: an image that no future dataset may have."""

from __future__ import annotations

from contextlib import closing

import click

from mlops_assets.cli.common import json_option, print_json, profile_option


@click.command(epilog="Example: mlops forget 9f86d081...0a08 --reason 'consent withdrawn'")
@click.argument("image_sha256", metavar="IMAGE_SHA256")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")
@profile_option
@json_option
def forget(image_sha256: str, reason: str, profile: str | None, as_json: bool) -> None:
    """Leave an image out of every future dataset, and say what was made from it.

    IMAGE_SHA256 is the hash of the image file's bytes. Snapshots stay as they are, so that what was
    answered can still be explained; the running platform makes dataset and model anew without it.
    """
    from mlops_assets.cli.provenance import open_graph
    from mlops_assets.lineage.taint import find_taint
    from resources.forgotten import forget as add
    from resources.person import operating_user
    from resources.platform_db import PlatformDatabase

    home, graph = open_graph(profile)
    wanted = image_sha256.lower()
    added = add(home, wanted, actor=operating_user(), reason=reason)
    with closing(PlatformDatabase(home)) as database:
        slots = {str(name): each.bento_tag for name, each in database.read_state().slots.items()}
    taint = find_taint(home, graph, wanted, slots)
    if as_json:
        print_json({"image_sha256": wanted, "added": added, **taint.to_json()})
        return
    click.echo(f"{wanted} {'is' if added else 'was already'} left out of every future dataset")
    if not taint.splits and not taint.predictions:
        click.echo("no dataset and no prediction here has seen it")
    for version, split in taint.splits.items():
        click.echo(f"  in dataset {version}, {split}")
    for model in taint.models:
        click.echo(f"  tainted model {model}")
    for tag in taint.bentos:
        serves = [slot for slot in taint.serving if slots[slot] == tag]
        click.echo(f"  tainted bento {tag}{f', which serves as {serves[0]}' if serves else ''}")
    if taint.predictions:
        click.echo(f"  seen by {taint.predictions} predictions")
    if taint.models:
        click.echo("forget_sensor requests the job `rebuild` while the platform runs; a model that "
                   "the gate finds only as good is promoted by `mlops rollout promote`")
