"""``mlops data``: datasets on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of, to_stderr


@click.group()
def data() -> None:
    """Bring the dataset to this machine."""


@data.command(epilog="Example: mlops data fetch --dataset FashionMNIST --root data")
@click.option("--dataset", metavar="NAME", help="FashionMNIST, MNIST or CIFAR10.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder that holds the datasets.")
@profile_option
@json_option
def fetch(dataset: str | None, root: Path | None, profile: str | None, as_json: bool) -> None:
    """Fetch an official dataset, check its hashes, and lay it out as torchvision expects it.

    For Fashion-MNIST the Debian package is looked at first, then torchvision's mirrors, then the
    package is downloaded and unpacked without root. Without options: what configs/dataset.yaml
    names.
    """
    from mlops_assets.raw.fetch import fetch_dataset

    settings = settings_of(profile).dataset
    name = dataset or settings.name
    folder = fetch_dataset(name, root or settings.path, log=to_stderr)
    if as_json:
        print_json({"dataset": name, "folder": str(folder)})
    else:
        click.echo(str(folder))
