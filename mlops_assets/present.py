"""From a step's results to what Dagster records and a person sees in its UI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import dagster as dg

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.summary import CheckOutcome, Summary
from mlops_assets.provenance.record import read_record
from resources.open_lineage import Emitter
from resources.platform import Platform
from resources.steps import Step, StepResult, Workspace, run_step
from resources.store import ArtifactStore

PLATFORM_OWNER: Final = "team:platform"
DATA_OWNER: Final = "team:data"
MODEL_OWNER: Final = "team:models"
LINKED: Final = 20
BATCHES: Final = dg.DynamicPartitionsDefinition(name="batch")

# A parent's new bytes start a step; the same bytes again, or bytes that failed a blocking check,
# do not.
_SOME_NEW_BYTES: Final = (
    dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    .since_last_handled()
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)
ON_NEW_BYTES: Final = (
    _SOME_NEW_BYTES & ~dg.AutomationCondition.any_deps_missing()
).with_label("on_new_bytes")
# Most hours of the past have no predictions, and are missing for good.
ON_NEW_HOURS: Final = _SOME_NEW_BYTES.with_label("on_new_hours")
# What nobody waits for leaves the processors to a release that is being made.
AFTER_RELEASES: Final = (
    _SOME_NEW_BYTES
    & ~dg.AutomationCondition.asset_matches("rollout", dg.AutomationCondition.in_progress())
).with_label("on_new_bytes_after_releases")


# MLflow, the one server that steps write to, may be restarting.
RETRIES: Final = dg.RetryPolicy(max_retries=4, delay=5, backoff=dg.Backoff.EXPONENTIAL)


def late_after(hours: float) -> dg.FreshnessPolicy:
    """Late when not materialized for so long; a warning at half of it."""
    limit = timedelta(hours=hours)
    return dg.FreshnessPolicy.time_window(fail_window=limit, warn_window=limit / 2)


def check(asset: str, name: str, description: str, *, blocking: bool = True) -> dg.AssetCheckSpec:
    """A check that the asset's own step reports."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=blocking, description=description)


def _value(value: object) -> Any:
    return dg.MetadataValue.float(value) if isinstance(value, float) else value


def _table_row(row: dict[str, Any]) -> dg.TableRecord:
    """Texts first, numbers to five significant digits: what a person reads in a table."""
    ordered = sorted(row.items(), key=lambda item: not isinstance(item[1], str))
    return dg.TableRecord({
        key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in ordered
    })


def to_metadata(summary: Summary) -> dict[str, Any]:
    """Numbers, tables and pictures as Dagster metadata; pictures are Markdown with a PNG.

    Raises:
        ValueError: two of them share a name, and one would hide the other.
    """
    names = [*summary.values, *summary.tables, *summary.pictures]
    if len(set(names)) < len(names):
        raise ValueError(f"names stand twice among {sorted(names)}")
    metadata: dict[str, Any] = {key: _value(value) for key, value in summary.values.items()}
    if "rows" in metadata:
        metadata["dagster/row_count"] = metadata.pop("rows")
    for name, rows in summary.tables.items():
        if rows:
            metadata[name] = dg.MetadataValue.table([_table_row(row) for row in rows])
    for name, png in summary.pictures.items():
        metadata[name] = dg.MetadataValue.md(f"![{name}](data:image/png;base64,{png})")
    return metadata


def _to_check(asset: str, outcome: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset, check_name=outcome.name, passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN,
        description=outcome.description,
        metadata={key: _value(value) for key, value in outcome.details.items()},
    )


def describe_origin(store: ArtifactStore, result: StepResult) -> str:
    """What an output was made from, in Markdown: each asset, its version, and the run that made it.

    Addresses are relative to Dagster's UI.
    """
    rows = ["| made from | version | in the run |", "|---|---|---|"]
    inputs = result.record.inputs
    for ref in inputs[-LINKED:]:
        run = read_record(store.path(ref)).dagster_run_id
        named = f"[{ref.asset}](/assets/{ref.asset})"
        if ref.partition is not None:
            named = (f"[{ref.asset} {ref.partition}]"
                     f"(/assets/{ref.asset}?partition={quote(ref.partition)})")
        rows.append(f"| {named} | `{ref.version[:16]}` | [{run[:8]}](/runs/{run}) |")
    if len(inputs) > LINKED:
        rows.append(f"| and {len(inputs) - LINKED} before | | |")
    return "\n".join(rows)


def to_result(result: StepResult, *, path: str) -> dg.MaterializeResult[Any]:
    """The materialization of one output; its data version is the hash of the artifact."""
    record = result.record
    metadata: dict[str, Any] = {
        **to_metadata(result.summary),
        "version": result.ref.version,
        "reused": result.reused,
        "provenance_record": record.sha256,
        "artifact": dg.MetadataValue.path(path),
    }
    if record.inputs:
        metadata["inputs_as_read"] = dg.MetadataValue.table([
            dg.TableRecord({
                "asset": ref.asset, "partition": ref.partition or "", "version": ref.version,
            }) for ref in record.inputs
        ])
    asset = result.ref.asset
    return dg.MaterializeResult(
        asset_key=asset, data_version=dg.DataVersion(result.ref.version), metadata=metadata,
        check_results=[_to_check(asset, outcome) for outcome in result.summary.checks],
    )


def materialize(
    context: dg.AssetExecutionContext,
    platform: Platform,
    step: Step,
    build: Callable[[Workspace], None],
    *,
    finalize: Callable[[StepResult], None] | None = None,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Run one step and give Dagster its results.

    Raises:
        dagster.Failure: with one line that says what is wrong, where, and what to do.
    """
    # A run of a partitioned job has a partition key also in the steps of unpartitioned assets.
    partitioned = context.assets_def.partitions_def is not None
    partition = context.partition_key if partitioned else None
    events = Emitter(platform.root, context.run.run_id, context.run.job_name, step.outputs,
                     partition)
    _tell(context, events.start)
    try:
        results = run_step(
            platform.store, step, build, project_root=platform.project_root,
            run_id=context.run.run_id, partition=partition, finalize=finalize,
        )
    except Exception as error:
        _tell(context, partial(events.fail, str(error)))
        if isinstance(error, PlatformError):
            raise dg.Failure(description=str(error), allow_retries=error.transient) from error
        raise
    _tell(context, partial(events.complete, results))
    for result in results:
        how = "unchanged, reused" if result.reused else "new version"
        context.log.info(f"{result.ref.asset}: {how} {result.ref.version[:16]}")
        made = to_result(result, path=str(platform.store.path(result.ref)))
        if result.record.inputs:
            made = made._replace(metadata={
                **(made.metadata or {}),
                "lineage": dg.MetadataValue.md(describe_origin(platform.store, result))})
        yield made


def _tell(context: dg.AssetExecutionContext, emit: Callable[[], None]) -> None:
    """Emit an OpenLineage event; a catalogue that is away does not stop the work."""
    try:
        emit()
    except Exception as error:
        context.log.warning(f"no OpenLineage event: {error}")
