"""Looking back: earlier predictions, and the labels that arrive for them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bentos import metrics
from bentos.problems import Problem, unavailable
from mlops_assets.contracts.prediction import FeedbackRecord, PredictionRecord
from resources.journal import JournalUnavailable, JournalWriter, find_line

MAX_LOOKUPS: Final = 4


class History:
    """Reads and labels the predictions in ``folder``, those of other processes too."""

    def __init__(self, folder: Path, journal: JournalWriter) -> None:
        self._folder: Final = folder
        self._journal: Final = journal
        self.turn: Final = asyncio.Semaphore(MAX_LOOKUPS)

    async def find(self, prediction_id: str) -> PredictionRecord:
        """The journal record of one prediction.

        Raises:
            Problem: 404 no such prediction.
        """
        return (await self.find_line(prediction_id))[0]

    async def find_line(self, prediction_id: str) -> tuple[PredictionRecord, bytes]:
        """The journal record of one prediction, and its line there.

        Raises:
            Problem: 404 no such prediction.
        """
        async with self.turn:
            found = await asyncio.to_thread(find_line, self._folder, prediction_id)
        if found is None:
            raise Problem(404, "unknown-prediction", f"no prediction `{prediction_id[:40]}`")
        return found

    async def keep_label(self, prediction_id: str, label: str) -> FeedbackRecord:
        """Journal the label that one prediction should have had.

        Raises:
            Problem: 404 no such prediction, 422 no class of its model, 503 no journal.
        """
        record = await self.find(prediction_id)
        classes = record.answer.probabilities
        if label not in classes:
            known = ", ".join(list(classes)[:20])
            raise Problem(422, "unknown-class", f"`{label[:40]}` is none of the classes: {known}")
        feedback = FeedbackRecord(prediction_id=prediction_id, label=label, at=datetime.now(UTC))
        try:
            await asyncio.to_thread(self._journal.append, feedback)
        except JournalUnavailable as error:
            metrics.JOURNAL_FAULTS.inc()
            raise unavailable("journal-unavailable", "the label could not be kept") from error
        metrics.FEEDBACK.labels("yes" if label == record.answer.label else "no").inc()
        return feedback
