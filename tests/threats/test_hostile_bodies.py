"""Thousands of hostile requests: each refusal is a problem document, and nothing stays of it."""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import gc
import itertools
from collections import Counter
from pathlib import Path

import orjson
import psutil
import pytest

from bentos.edge import Edge
from bentos.runtime import Runtime
from tests.bare_asgi import Asked, Reply, ask, check_refusal
from tests.hostile_requests import hostile_requests
from tests.model_dir import write_model_dir
from tests.serving import PNG, SPEC, edge_of, journaled, predictor_of

# 3,000 requests to warm up: they fill the answer cache's and allocators' reserves. After that no
# request may leave anything, and 12,000 of them less than 2.7 KB each.
WARM, COUNT, TOGETHER = 3_000, 12_000, 16
GROWTH_BYTES = 32 * 1024 * 1024
LIMITS = {"max_pixels": 1_000_000, "max_body_bytes": 1_000_000, "max_bundle_bytes": 2_000_000,
          "cache_entries": 64, "body_timeout": 30.0, "answer_timeout": 30.0}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model_dir(folder, pixels=SPEC)
    return Runtime(folder, threads=1)


def resident() -> int:
    """Bytes this process holds, without what only waits to be given back."""
    gc.collect()
    ctypes.CDLL(ctypes.util.find_library("c")).malloc_trim(0)
    return psutil.Process().memory_info().rss


def answers_in(asked: Asked, reply: Reply) -> list[str]:
    """Ids of the predictions that a reply holds; fails for a refusal that is no problem."""
    if not 200 <= reply.status < 300:
        check_refusal(reply.status, reply.headers.get("content-type", ""), reply.body)
        return []
    if asked.path == "/v1/predict_batch":
        results = orjson.loads(reply.body)["results"]
        for each in results:
            if "problem" in each:
                body = orjson.dumps(each["problem"])
                check_refusal(each["problem"]["status"], "application/problem+json", body)
        return [each["answer"]["prediction_id"] for each in results if "answer" in each]
    return [orjson.loads(reply.body)["prediction_id"]] if asked.path == "/v1/predict" else []


async def ask_all(edge: Edge, asked: list[Asked]) -> list[str]:
    """Ask some at once; ids of the predictions that were made."""
    async with asyncio.timeout(60):
        replies = await asyncio.gather(*(ask(edge, each) for each in asked))
    return [name for each, reply in zip(asked, replies, strict=True)
            for name in answers_in(each, reply)]


def test_hostile_requests_leave_nothing_behind(runtime: Runtime, tmp_path: Path) -> None:
    async def run() -> None:
        predictor = predictor_of(runtime, tmp_path / "journal", **LIMITS)
        made: list[str] = []
        async with edge_of(predictor) as edge:
            requests = iter(hostile_requests(1, WARM + COUNT))
            for phase in (WARM, COUNT):
                before = resident()
                left = itertools.islice(requests, phase)
                while some := list(itertools.islice(left, TOGETHER)):
                    made += await ask_all(edge, some)
            assert resident() - before < GROWTH_BYTES
            good = Asked("/v1/predict", [(b"content-type", b"image/png")], [PNG])
            made += (last := await ask_all(edge, [good]))
            assert len(last) == 1
        await predictor.close()
        kept = Counter(record.answer.prediction_id for record in journaled(tmp_path / "journal"))
        assert kept == Counter(made)
        assert len(made) > 100, "some mutations are still images: they show that it is asked"

    asyncio.run(run())
