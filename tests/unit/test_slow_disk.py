"""A journal on a disk that does not answer: 503, bounded memory, and everything comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from bentos.predictor import Predictor
from bentos.runtime import Runtime
from resources.journal import JournalWriter
from tests.model_dir import write_model_dir
from tests.serving import PNG, SPEC, journaled, refused, serve


def test_a_stuck_disk_answers_503_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)
    free = threading.Event()
    append = JournalWriter.append_predictions

    def stuck(self: JournalWriter, lines: Sequence[bytes], first_id: str) -> None:
        assert free.wait(30)
        append(self, lines, first_id)

    monkeypatch.setattr(JournalWriter, "append_predictions", stuck)

    async def use(client: httpx.AsyncClient, predictor: Predictor) -> None:
        kind = {"content-type": "image/png"}
        tasks = [asyncio.create_task(client.post("/v1/predict", content=PNG, headers=kind))
                 for _ in range(40)]
        answers = await asyncio.gather(*tasks)
        kinds = {each.json()["type"].rpartition(":")[2] for each in answers}
        assert kinds == {"too-slow", "overloaded"}
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
        waiting = sum(model.batcher.waiting for model in predictor.slots.models())
        assert waiting <= 10
        free.set()
        good = await client.post("/v1/predict", content=PNG, headers=kind)
        assert good.status_code == 200
        ids = {record.answer.prediction_id for record in journaled(tmp_path / "journal")}
        assert good.json()["prediction_id"] in ids

    serve(Runtime(tmp_path / "model", threads=1), tmp_path / "journal", use,
          max_queue=10, max_batch=4, answer_timeout=0.5, cache_entries=0)


def test_a_full_disk_answers_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        kind = {"content-type": "image/png"}
        (tmp_path / "journal").write_text("no folder")
        refused(await client.post("/v1/predict", content=PNG, headers=kind), 503,
                "journal-unavailable")
        (tmp_path / "journal").unlink()
        good = await client.post("/v1/predict", content=PNG, headers=kind)
        assert good.status_code == 200

    serve(Runtime(tmp_path / "model", threads=1), tmp_path / "journal", use)
