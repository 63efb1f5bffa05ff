"""Launch a selection of assets in this process, in as many runs as their partitions need."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from mlops_assets.contracts.errors import PlatformError


class BadSelection(PlatformError):
    """The selection or the partition can not be launched."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """Assets of one run, and its partition key if any of them has partitions."""

    keys: frozenset[Any]
    partition: str | None


def launch_selection(selection: str, partition: str | None) -> bool:
    """Materialize the selection; whether every run succeeded (the first failure ends it).

    ``partition`` is a batch or an hour. Without it, assets with batches take the configured batch
    and assets with hours every hour that the service's journal holds.

    Raises:
        BadSelection: no such asset or partition.
    """
    import dagster as dg
    from dagster._cli.utils import get_possibly_temporary_instance_for_cli

    from mlops_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    try:
        keys = dg.AssetSelection.from_coercible(selection.split(",")).resolve(graph)
    except dg.DagsterInvalidSubsetError as error:
        raise BadSelection(f"`{selection}`: {' '.join(str(error).split())[:300]}") from error
    with get_possibly_temporary_instance_for_cli("``dg launch``") as instance:
        for run in plan_runs(graph, keys, partition):
            if not _execute(defs, instance, run):
                return False
    return True


def plan_runs(graph: Any, keys: AbstractSet[Any], partition: str | None) -> Iterator[PlannedRun]:
    """Runs in the order of the graph.

    What is downstream of an hourly asset and has no partitions comes last. Scoring a folder is
    no part of a larger selection, as somebody must name the folder.

    Raises:
        BadSelection: scoring alone, without a folder.
    """
    from mlops_assets.config import load_settings
    from mlops_assets.monitoring.assets import FOLDERS, HOURS
    from resources.journal import KEY_FORMAT, hours, journal_folder

    settings = load_settings()
    scoring = {key for key in keys if graph.get(key).partitions_def == FOLDERS}
    if scoring == keys:
        if partition is None:
            raise BadSelection(
                f"name the folder below {settings.scoring.root} with --partition")
        yield PlannedRun(frozenset(scoring), partition)
        return
    keys = keys - scoring
    hourly = {key for key in keys if graph.get(key).partitions_def == HOURS}
    every_hourly = {key for key in graph.get_all_asset_keys()
                    if graph.get(key).partitions_def == HOURS}
    late = {key for key in keys - hourly if graph.get_ancestor_asset_keys(key) & every_hourly}
    early = keys - hourly - late
    batched = {key for key in early if graph.get(key).partitions_def is not None}
    if early:
        yield PlannedRun(frozenset(early), (partition or settings.dataset.batch) if batched
                         else None)
    if hourly:
        given = partition if partition is not None and not batched else None
        present = datetime.now(UTC).strftime(KEY_FORMAT)
        for hour in [given] if given else hours(journal_folder(settings.home)) or [present]:
            yield PlannedRun(frozenset(hourly), hour)
    if late:
        yield PlannedRun(frozenset(late), None)


def _execute(defs: Any, instance: Any, run: PlannedRun) -> bool:
    import dagster as dg

    graph = defs.resolve_asset_graph()
    for partitions in {graph.get(key).partitions_def for key in run.keys}:
        if run.partition is not None and isinstance(partitions, dg.DynamicPartitionsDefinition):
            instance.add_dynamic_partitions(str(partitions.name), [run.partition])
    try:
        result = dg.materialize(
            list(defs.assets), selection=dg.AssetSelection.assets(*run.keys), instance=instance,
            partition_key=run.partition, resources=defs.resources, raise_on_error=False,
        )
    except dg.DagsterUnknownPartitionError as error:
        raise BadSelection(f"`{run.partition}` is no partition of the selection; hours look like "
                           "2026-01-31-23:00 (UTC)") from error
    for event in result.all_events:
        if event.is_step_failure:
            click.echo(f"dg launch: {event.step_key}: {cause(event)}", err=True)
    return bool(result.success)


def cause(event: Any) -> str:
    """The line that a step failed with: its own, or the innermost error's."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return "no reason was given" if error is None else " ".join(error.message.split())
