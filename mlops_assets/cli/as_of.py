"""``mlops as-of``: the platform as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlops_assets.cli.common import json_option, print_json, profile_option

if TYPE_CHECKING:
    from mlops_assets.lineage.as_of import AsOf

SHORT = 16


@click.command("as-of", epilog="Example: mlops as-of 2026-11-23T10:00Z")
@click.argument("moment", metavar="TIME")
@profile_option
@json_option
def as_of(moment: str, profile: str | None, as_json: bool) -> None:
    """Show what served at a time, on which data, with which alerts and limits.

    TIME is ISO 8601, as 2026-11-23T10:00Z; without a zone it is UTC.
    """
    from mlops_assets.cli.provenance import open_graph
    from mlops_assets.lineage.as_of import look_back, read_moment

    at = read_moment(moment)
    home, graph = open_graph(profile)
    found = look_back(home, graph, at)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)


def _print(found: AsOf) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    state = found.state
    console.print(f"[bold]{found.at}[/]: revision {state.revision}, step {state.step}")
    serving = Table("slot", "bento", "weight", box=box.SIMPLE)
    for slot, held in sorted(state.slots.items()):
        serving.add_row(slot, held.bento_tag, f"{held.weight:.0%}")
    console.print(serving if state.slots else "  nothing served yet")
    latest = Table("asset", "partition", "version", "made at", box=box.SIMPLE)
    for made in found.latest:
        latest.add_row(made.asset, made.partition or "", made.version[:SHORT], made.made_at[:19])
    console.print(latest)
    for made in found.alerts:
        told = made.facts
        console.print(f"[bold red]{told['verdict']}[/] {made.asset}: {told.get('reason', '')}"
                      f"{'; asks for ' + told['action'] if 'action' in told else ''}")
    for judge, settings in found.thresholds.items():
        shown = "  ".join(f"{name} {value}" for name, value in sorted(settings.items())
                          if isinstance(value, int | float))
        console.print(f"limits of {judge}: {shown}")
    for change in found.changes:
        console.print(f"{change['at'][:19]} {change['actor']} {change['action']}: "
                      f"{change['reason']}")
