"""Predictions by the real model behind the real predictor, without a server in between."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bentos.predictor import Predictor
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings
from mlops_assets.contracts.prediction import PredictionRecord
from resources.journal import find


def predict_all(
    model: Path, images: list[Path], journal: Path, bento_tag: str
) -> list[PredictionRecord]:
    """Answer every image; the records as they stand in the journal, in the order of the images."""

    async def run() -> list[str]:
        predictor = Predictor(Runtime(model, threads=1), journal_dir=journal,
                              images_dir=journal.with_name("requests"), bento_tag=bento_tag,
                              settings=ServiceSettings(max_queue=100_000))
        answers = [
            await predictor.predict(path.read_bytes(), started=time.perf_counter())
            for path in images
        ]
        await predictor.close()
        return [answer.prediction_id for answer in answers]

    records = [find(journal, prediction_id) for prediction_id in asyncio.run(run())]
    return [record for record in records if record is not None]
