"""Thousands of hostile requests: each refusal is a problem document, and nothing stays of it."""

from __future__ import annotations

import asyncio
import itertools
import time
import zlib
from collections import Counter
from pathlib import Path

import orjson
import pytest

from bentos.edge import Edge
from bentos.runtime import Runtime
from tests.bare_asgi import Asked, Reply, ask, check_refusal
from tests.bombs import png
from tests.hostile_requests import hostile_requests
from tests.memory import forget_peak, peak, resident
from tests.model_dir import write_model_dir
from tests.serving import PNG, SPEC, edge_of, journaled, predictor_of

# 3,000 requests warm up: they fill the answer cache and allocators' reserves. After that 12,000
# may leave less than 2.7 KB each, and at no moment do 16 at once take more than 128 MiB.
WARM, COUNT, TOGETHER = 3_000, 12_000, 16
GROWTH_BYTES, PEAK_BYTES = 32 * 1024 * 1024, 128 * 1024 * 1024
LIMITS = {"max_pixels": 1_000_000, "max_body_bytes": 1_000_000, "max_bundle_bytes": 2_000_000,
          "cache_entries": 64, "body_timeout": 30.0, "answer_timeout": 30.0}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model_dir(folder, pixels=SPEC)
    return Runtime(folder, threads=1)


def image(content: bytes) -> Asked:
    """An upload."""
    return Asked("/v1/predict", [(b"content-type", b"image/png")], [content])


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
                forget_peak()
                left = itertools.islice(requests, phase)
                while some := list(itertools.islice(left, TOGETHER)):
                    made += await ask_all(edge, some)
            assert peak() - before < PEAK_BYTES
            assert resident() - before < GROWTH_BYTES
            made += (last := await ask_all(edge, [image(PNG)]))
            assert len(last) == 1
        await predictor.close()
        kept = Counter(record.answer.prediction_id for record in journaled(tmp_path / "journal"))
        assert kept == Counter(made)
        assert len(made) > 100, "some mutations are still images: they show that it is asked"

    asyncio.run(run())


def test_slow_images_hold_nobody_else_up(runtime: Runtime, tmp_path: Path) -> None:
    side = 7_000
    slow = image(png(side, side, data=zlib.compress(bytes(side * (side + 1)), 9)))
    lookup = Asked(f"/v1/predictions/0{'a' * 31}", method="GET")

    async def run() -> None:
        predictor = predictor_of(runtime, tmp_path / "journal", lanes=1, answer_timeout=0.05)
        async with edge_of(predictor) as edge:
            started = time.perf_counter()
            replies = await asyncio.gather(*(ask(edge, slow) for _ in range(40)))
            kinds = {check_refusal(each.status, each.headers["content-type"], each.body)
                     for each in replies}
            assert kinds == {"too-slow"}
            assert (await ask(edge, lookup)).status == 404
            answered = time.perf_counter() - started
            started = time.perf_counter()
        await predictor.close()  # waits for the one image that was begun
        assert answered < time.perf_counter() - started

    asyncio.run(run())
