"""Requests that a model could not answer, journaled for the rollout that is judged by them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from datetime import UTC, datetime
from typing import Final

from bentos import metrics
from bentos.model import ServedModel, Upload
from mlops_assets.contracts.prediction import FailureRecord, Slot
from resources.journal import JournalUnavailable, JournalWriter

logger = logging.getLogger("bentos.failures")
SECONDS: Final = 0.5
Kind = tuple[Slot, str, int, str]


class Failures:
    """Counts failures and journals the counts soon after: a flood of refusals is a few records.

    One event loop uses it.
    """

    def __init__(self, journal: JournalWriter) -> None:
        self._journal: Final = journal
        self._counts: Counter[Kind] = Counter()
        self._writing: asyncio.Task[None] | None = None

    def count(self, model: ServedModel, upload: Upload, problem: str) -> None:
        """One request that ``model`` did not answer, through no fault of the image."""
        route = upload.route
        self._counts[route.slot, model.card.version, route.revision, problem] += 1
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_later())

    async def close(self) -> None:
        """Journal what is counted."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._write()

    async def _write_later(self) -> None:
        await asyncio.sleep(SECONDS)
        self._writing = None
        await self._write()

    async def _write(self) -> None:
        counts, self._counts = self._counts, Counter()
        now = datetime.now(UTC)
        for (slot, version, revision, problem), count in counts.items():
            record = FailureRecord(at=now, slot=slot, model_version=version, revision=revision,
                                   problem=problem, count=count)
            try:
                await asyncio.to_thread(self._journal.append, record)
            except JournalUnavailable:
                metrics.JOURNAL_FAULTS.inc()
                logger.exception("%d failures could not be journaled", count)
