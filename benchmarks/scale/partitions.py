"""Dagster with many batches: what they cost to write, to show and to look at every tick.

Each batch materializes the four assets that have a partition a batch, as runs do. Then the
questions that the UI and the daemon ask are asked: which partitions there are, the page of one
asset, and a tick of the automation conditions over the whole graph, of which nothing is due.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import psycopg2
import yaml

from tests.postgres_server import Postgres, postgres_server

ASSETS: Final = ("raw_images", "validated_images", "quarantined_images", "embeddings")
STORAGES: Final = ("SQLite", "PostgreSQL")
UI: Final = """
query Page($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      partitionStats { numMaterialized numFailed numPartitions }
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses { materializedPartitions failedPartitions }
      }
      assetMaterializations(limit: 1) { runId }
    }
  }
}
"""


@contextmanager
def instance_on(storage: str, folder: Path) -> Iterator[tuple[dg.DagsterInstance, Postgres | None]]:
    """A Dagster instance with its storage on SQLite in ``folder``, or on a server of its own."""
    if storage == "SQLite":
        (folder / "dagster.yaml").write_text(yaml.safe_dump({
            "storage": {"sqlite": {"base_dir": str(folder / "storage")}},
            "telemetry": {"enabled": False}}))
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield instance, None
        return
    with postgres_server() as server:
        os.environ["BENCH_DATABASE"] = server.create("dagster").replace(
            "postgresql://", "postgresql+psycopg2://")
        (folder / "dagster.yaml").write_text(yaml.safe_dump({
            "storage": {"postgres": {"postgres_url": {"env": "BENCH_DATABASE"}}},
            "telemetry": {"enabled": False}}))
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield instance, server


def write_batches(instance: dg.DagsterInstance, first: int, last: int) -> None:
    """Batches ``first`` to ``last``, each with its materializations."""
    keys = [f"batch-{number:05d}" for number in range(first, last)]
    instance.add_dynamic_partitions("batch", keys)
    for key in keys:
        for asset in ASSETS:
            instance.report_runless_asset_event(dg.AssetMaterialization(
                asset, partition=key, metadata={"rows": 1000, "version": key * 6},
                tags={"dagster/data_version": key * 6}))


def bytes_of(folder: Path, server: Postgres | None) -> int:
    """Size of the storage on disk."""
    if server is None:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    connection = psycopg2.connect(server.url("dagster"))
    try:
        with connection.cursor() as cursor:
            cursor.execute("select pg_database_size('dagster')")
            found: int = cursor.fetchone()[0]
            return found
    finally:
        connection.close()


def _page(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the UI asks for an asset's page, through the webserver's own schema."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster_graphql.schema import create_schema

    target = ModuleTarget("mlops_assets.definitions", attribute=None, working_directory=None,
                          location_name="mlops_assets")
    with WorkspaceProcessContext(instance, target) as process:
        context = process.create_request_context()
        schema = create_schema()
        timed: dict[str, Any] = {}
        for name in ("cold", "warm"):
            began = time.perf_counter()
            answer = asyncio.run(schema.execute_async(
                UI, context_value=context, variables={"key": {"path": ["validated_images"]}}))
            timed[name] = time.perf_counter() - began
            if answer.errors:
                raise SystemExit(str(answer.errors[0]))
            if not answer.data["assetNodeOrError"].get("partitionStats"):
                raise SystemExit(f"the page shows nothing: {answer.data}")
        return timed


def _tick(instance: dg.DagsterInstance, definitions: dg.Definitions) -> tuple[float, float]:
    """CPU seconds of the first automation tick and of one in which nothing has happened."""
    began = time.process_time()
    first = dg.evaluate_automation_conditions(definitions, instance)
    between = time.process_time()
    dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    return between - began, time.process_time() - between


def measure(storage: str, counts: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row for each number of batches, which are added one upon another."""
    from mlops_assets.definitions import defs

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as scratch:
        folder = Path(scratch)
        with instance_on(storage, folder) as (instance, server):
            present = 0
            for count in counts:
                began, cpu = time.perf_counter(), time.process_time()
                write_batches(instance, present, count)
                wrote = time.perf_counter() - began
                wrote_cpu = time.process_time() - cpu
                began = time.perf_counter()
                known = instance.get_materialized_partitions(dg.AssetKey("embeddings"))
                listed = time.perf_counter() - began
                if len(known) != count:
                    raise SystemExit(f"{len(known)} partitions of {count} are there")
                page = _page(instance)
                first, idle = _tick(instance, defs)
                rows.append({
                    "storage": storage, "batches": count,
                    "events": count * len(ASSETS),
                    "write ms an event": 1000 * wrote / ((count - present) * len(ASSETS)),
                    "write CPU ms an event": 1000 * wrote_cpu / ((count - present) * len(ASSETS)),
                    "KiB an event": bytes_of(folder, server) / 1024 / (count * len(ASSETS)),
                    "list partitions s": listed, "asset page s": page["warm"],
                    "first tick CPU s": first, "idle tick CPU s": idle,
                })
                present = count
    return rows
