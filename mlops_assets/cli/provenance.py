"""``mlops lineage`` and ``mlops verify``: where something came from, and whether it is whole."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from mlops_assets.cli.common import json_option, print_json, profile_option, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.tree import Tree

    from mlops_assets.contracts.receipt import Receipt
    from mlops_assets.lineage.checks import Checked
    from mlops_assets.lineage.graph import Graph
    from mlops_assets.lineage.report import ArtifactView, Lineage

SHORT: Final = 12
WIDE: Final = 160


def open_graph(profile: str | None) -> tuple[Path, Graph]:
    """The platform's home and the graph of what is in it.

    Raises:
        PlatformError: there is nothing in it yet.
    """
    from mlops_assets.contracts.errors import PlatformError
    from mlops_assets.lineage.graph import load_graph
    from resources.store import open_store

    home = settings_of(profile).home
    if not (home / "store").is_dir():
        raise PlatformError(f"there is no artifact in {home} yet; run `mlops demo`, or set "
                            "PLATFORM_HOME")
    return home, load_graph(open_store(home))


@click.command(epilog="Example: mlops verify, or mlops verify 3c24b6a55c8d")
@click.argument("id", required=False, metavar="[ID]")
@profile_option
@json_option
def verify(id: str | None, profile: str | None, as_json: bool) -> None:  # noqa: A002
    """Check every byte against its hash: of the whole platform, or of one ID and its ancestors.

    ID is a prediction id, an image's SHA-256, the beginning (8 or more characters) of a version or
    program hash, a bento tag, or a registered version such as classifier/1. Every damaged file is
    named, with what to do; the exit code is 0 only when there is none.
    """
    from mlops_assets.lineage.subject import resolve
    from mlops_assets.lineage.verification import verify_home, verify_subject

    home, graph = open_graph(profile)
    checks = verify_home(home, graph) if id is None else \
        verify_subject(home, graph, resolve(home, graph, id))
    checked = _with_progress(checks)
    damages = [damage for each in checked for damage in each.damages]
    if as_json:
        print_json({"whole": not damages, "checked": [asdict(each) for each in checked]})
    else:
        _print_checked(checked)
        for damage in damages:
            click.echo(str(damage))
        if not damages:
            click.echo(f"everything is whole: {sum(each.files for each in checked)} files "
                       "and entries match their hashes")
    if damages:
        sys.exit(1)


def _with_progress(checks: Iterable[Checked]) -> list[Checked]:
    """Go through the checks; on a terminal, say on stderr what was looked at last."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        return list(checks)
    found = []
    with console.status("checking") as status:
        for each in checks:
            found.append(each)
            status.update(f"checked {each.what} {each.name[:SHORT]}")
    return found


def _print_checked(checked: list[Checked]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    table.add_column("what")
    for column in ("checked", "files or entries", "damaged"):
        table.add_column(column, justify="right")
    groups: dict[str, list[Checked]] = {}
    for each in checked:
        groups.setdefault(each.what, []).append(each)
    for what, members in groups.items():
        damaged = sum(bool(each.damages) for each in members)
        table.add_row(what, str(len(members)), str(sum(each.files for each in members)),
                      str(damaged) if damaged else "-", style="bold red" if damaged else None)
    Console(highlight=False).print(table)


@click.command(epilog="Example: mlops lineage 3c24b6a55c8d")
@click.argument("id")
@profile_option
@json_option
def lineage(id: str, profile: str | None, as_json: bool) -> None:  # noqa: A002
    """Show what ID was made from, down to the raw bytes, and what came of it.

    ID is a prediction id, an image's SHA-256, the beginning (8 or more characters) of a version or
    program hash, a bento tag, or a registered version such as classifier/1.
    """
    from mlops_assets.lineage.report import trace
    from mlops_assets.lineage.subject import resolve

    home, graph = open_graph(profile)
    found = trace(home, graph, resolve(home, graph, id))
    if as_json:
        print_json(found.to_json())
    else:
        from rich.console import Console

        # A tree cuts its lines at the console's width, and a hash cut short is no hash.
        width = max(WIDE, Console().width)
        Console(highlight=False, width=width, soft_wrap=True).print(
            lineage_tree(found, _dagster_page(home)))
    for path in graph.damaged:
        click.echo(f"left out, for its record is damaged: {path}; see `mlops verify`", err=True)


def _dagster_page(home: Path) -> str | None:
    from deploy.layout import Layout
    from deploy.ports import recorded_ports

    ports = recorded_ports(Layout(home).ports)
    return None if ports is None else f"http://127.0.0.1:{ports.dagster}"


def lineage_tree(found: Lineage, page: str | None = None) -> Tree:
    """A lineage as a tree; an input that leads to another input is shown once, above it.

    ``page`` is the address of Dagster's UI, where it is known.
    """
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(f"[bold]{found.kind}[/] {escape(found.id)}")
    for name, value in found.facts.items():
        tree.add(f"{name}: {escape(str(value))}")
    if found.image is not None:
        _add_image(tree, found)
    if found.receipt is not None:
        _add_receipt(tree, found.receipt, page)
    if found.artifact is not None:
        views = {each.key: each for each in (found.artifact, *found.made_from)}
        _add_made_from(tree.add("made from"), found, views, found.artifact.key, set())
    if found.used_by:
        branch = tree.add(f"used by {len(found.used_by)}")
        for each in found.used_by:
            branch.add(_line(each))
    return tree


def _add_receipt(tree: Tree, receipt: Receipt, page: str | None) -> None:
    from rich.markup import escape

    origin = receipt.origin
    tree.add(f"journal record {receipt.record_sha256}")
    tree.add(f"rollout step {receipt.step}, revision {receipt.revision}, "
             f"{receipt.weight:.0%} of the traffic")
    tree.add(f"MLflow run {origin.mlflow_run_id}  Dagster run {origin.dagster_run_id}")
    if page is not None:
        tree.add(f"in Dagster: {page}/runs/{origin.dagster_run_id}, {page}/assets/exported_model")
    tree.add(f"commit {origin.code_commit}  lock file {origin.lock_sha256[:SHORT]}  "
             f"config {origin.config_sha256[:SHORT]}")
    if not receipt.nearest:
        return
    branch = tree.add(f"nearest training images, of dataset {origin.dataset}")
    for each in receipt.nearest:
        proof = each.proof
        told = "no proof: the dataset is not here" if proof is None else (
            f"row {proof.index} of {proof.size}, proven by {len(proof.path)} hashes, "
            f"{proof.row['source']}")
        branch.add(escape(f"{each.image_id} {each.label}, distance {each.distance:.3g} ({told})"))


def _line(view: ArtifactView) -> str:
    from rich.markup import escape

    of = f" ({', '.join(view.partitions[:3])})" if view.partitions else ""
    shown: dict[str, Any] = {name: value for name, value in view.facts.items()
                             if name not in ("dagster_run_id", "dirty", "merkle_root")}
    if view.facts.get("dirty"):
        shown["commit"] = f"{shown['commit'][:SHORT]} with changes"
    facts = "  ".join(f"{name} {value}" for name, value in shown.items())
    root = "Merkle root " if "merkle_root" in view.facts else ""
    return f"[bold]{view.asset}[/]{escape(of)} {root}{view.version}\n[dim]{escape(facts)}[/]"


def _add_made_from(
    tree: Tree, found: Lineage, views: dict[str, ArtifactView], key: str, shown: set[str]
) -> None:
    view = views[key]
    if key in shown:
        tree.add(f"[bold]{view.asset}[/] {view.version[:SHORT]} (above)")
        return
    shown.add(key)
    branch = tree.add(_line(view))
    for parent in found.parents.get(key, ()):
        _add_made_from(branch, found, views, parent, shown)


def _add_image(tree: Tree, found: Lineage) -> None:
    from rich.markup import escape

    image = found.image
    if image is None:
        return
    for seen in image.snapshots:
        row = seen.facts
        tree.add(escape(f"in raw_images {seen.artifact.version} as {row['source']}, "
                        f"label {row['label']}, batch {row['batch']}"))
    for seen in image.quarantined:
        tree.add(escape(f"quarantined: {seen.facts['reason']} ({seen.facts['detail']})"))
    for member in image.datasets:
        said = "is proven" if member.proven else "IS NOT PROVEN"
        tree.add(escape(f"in dataset {member.artifact.version}, {member.row['split']}: row "
                        f"{member.proof.index} of {member.proof.size} {said} by "
                        f"{len(member.proof.path)} hashes"))
    for each in image.predictions:
        tree.add(escape(f"seen by prediction {each.answer.prediction_id}: {each.answer.label} "
                        f"{each.answer.confidence:.1%} by {each.bento_tag}"))
