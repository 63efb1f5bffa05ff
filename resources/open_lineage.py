"""Events of every materialization in the OpenLineage standard, for catalogues that read it.

They lie in ``PLATFORM_HOME/openlineage/<day>.jsonl``, one event a line, and go to where
``OPENLINEAGE_URL`` or another setting of the OpenLineage client says as well.
Format: OpenLineage 2-0-2.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resources.steps import StepResult

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent, RunState

FOLDER: Final = "openlineage"
PRODUCER: Final = "urn:mlops-assets"
NAMESPACE: Final = "mlops-assets"
FORWARDED_BY: Final = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT__TYPE")


@dataclass(frozen=True, slots=True)
class Emitter:
    """Tells of one step of one Dagster run; ``outputs`` are the assets that it makes."""

    home: Path
    dagster_run_id: str
    dagster_job: str
    outputs: tuple[str, ...]
    partition: str | None

    def start(self) -> None:
        """The step has begun.

        Raises:
            OSError: the event can not be written.
            Exception: what the client raises where it forwards events and can not.
        """
        from openlineage.client.event_v2 import RunState

        self._emit(self._event(RunState.START, {}))

    def fail(self, message: str) -> None:
        """The step has failed; raises as ``start``."""
        from openlineage.client.event_v2 import RunState
        from openlineage.client.facet_v2 import error_message_run

        self._emit(self._event(RunState.FAIL, {
            "errorMessage": error_message_run.ErrorMessageRunFacet(message, "python")}))

    def complete(self, results: Sequence[StepResult]) -> None:
        """The step has made its outputs, of the inputs as read; raises as ``start``."""
        from openlineage.client.event_v2 import InputDataset, OutputDataset, RunState
        from openlineage.client.facet_v2 import (
            dataset_version_dataset,
            output_statistics_output_dataset,
            tags_run,
        )

        record = results[0].record
        facts = {
            "code_commit": record.code_commit, "code_dirty": str(record.code_dirty).lower(),
            "lock_sha256": record.lock_sha256, "config_sha256": record.config_sha256,
            "seed": str(record.seed), "reused": str(results[0].reused).lower()}
        tags = [tags_run.TagsRunFacetFields(key, value, "mlops-assets")
                for key, value in facts.items()]
        event = self._event(RunState.COMPLETE, {"tags": tags_run.TagsRunFacet(tags=tags)})

        def named(asset: str, partition: str | None, content: str) -> dict[str, Any]:
            facet = dataset_version_dataset.DatasetVersionDatasetFacet(content)
            return {"namespace": _namespace(), "name": _name(asset, partition),
                    "facets": {"version": facet}}

        event.inputs = [InputDataset(**named(ref.asset, ref.partition, ref.version))
                        for ref in record.inputs]
        event.outputs = []
        for result in results:
            rows = result.summary.values.get("rows")
            statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=rows if isinstance(rows, int) else None,
                fileCount=len(result.record.files))
            ref = result.ref
            event.outputs.append(OutputDataset(
                **named(ref.asset, ref.partition, ref.version),
                outputFacets={"outputStatistics": statistics}))
        self._emit(event)

    def _event(self, state: RunState, facets: dict[str, Any]) -> RunEvent:
        from openlineage.client.event_v2 import Job, Run, RunEvent
        from openlineage.client.facet_v2 import job_type_job, parent_run, processing_engine_run

        name = _name("+".join(self.outputs), self.partition)
        run_id = str(uuid.uuid5(uuid.UUID(self.dagster_run_id), name))
        return RunEvent(
            eventType=state, eventTime=datetime.now(UTC).isoformat(), producer=PRODUCER,
            run=Run(run_id, {
                "parent": parent_run.ParentRunFacet(
                    run=parent_run.Run(self.dagster_run_id),
                    job=parent_run.Job(_namespace(), self.dagster_job)),
                "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                    version("dagster"), "Dagster"),
                **facets}),
            job=Job(_namespace(), "+".join(self.outputs), {
                "jobType": job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", "ASSET")}),
        )

    def _emit(self, event: RunEvent) -> None:
        from openlineage.client.serde import Serde

        folder = self.home / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / f"{event.eventTime[:10]}.jsonl"
        handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            # One write, so that steps of several processes do not mix their lines.
            os.write(handle, Serde.to_json(event).encode() + b"\n")
        finally:
            os.close(handle)
        if any(name in os.environ for name in FORWARDED_BY):
            from openlineage.client import OpenLineageClient

            OpenLineageClient().emit(event)


def _namespace() -> str:
    return os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE


def _name(asset: str, partition: str | None) -> str:
    return asset if partition is None else f"{asset}/{partition}"
