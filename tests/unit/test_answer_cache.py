"""The answer cache: by image and program, never across models, harmless without Redis."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisDown

from bentos.cache import AnswerCache, open_redis
from bentos.computed import Computed
from bentos.predictor import Predictor
from bentos.runtime import Runtime
from mlops_assets.contracts.image_statistics import ImageStatistics
from tests.model_dir import write_model_dir
from tests.redis_server import redis_server
from tests.serving import PNG, SPEC, journaled, serve

PIXELS = ImageStatistics(1.0, 2.0, 3.0, 0.5, 0.25, 1.5)
ONE = Computed("bag", 0.5, b'{"bag":0.5}', "AAAA", PIXELS, None)
TWO = Computed("coat", 0.6, b'{"coat":0.6}', "BBBB", PIXELS, 0.25)


def test_the_program_is_part_of_the_key() -> None:
    cache = AnswerCache(entries=4)
    cache.keep("image", "p1", ONE)
    assert cache.get("image", "p1") == ONE
    assert cache.get("image", "p2") is None
    assert cache.get("other", "p1") is None


def test_the_least_recently_used_leaves() -> None:
    cache = AnswerCache(entries=2)
    for name in ("a", "b"):
        cache.keep(name, "p", ONE)
    cache.get("a", "p")
    cache.keep("c", "p", ONE)
    assert [cache.get(name, "p") is None for name in "abc"] == [False, True, False]


def test_no_entries_is_no_cache() -> None:
    cache = AnswerCache(entries=0)
    cache.keep("a", "p", ONE)
    assert not cache.enabled
    assert cache.get("a", "p") is None


def test_redis_shares_answers_between_processes(tmp_path: Path) -> None:
    async def run(url: str) -> None:
        mine, theirs = (AnswerCache(entries=4, redis=open_redis(url, seconds=10)) for _ in range(2))
        await mine.share("image", "p", TWO)
        assert await theirs.fetch("image", "p") == TWO
        assert theirs.get("image", "p") == TWO
        assert await theirs.fetch("image", "other") is None
        await mine.close()
        await theirs.close()

    with redis_server(tmp_path) as url:
        asyncio.run(run(url))


def test_without_redis_it_is_left_alone_for_a_while() -> None:
    class Down:
        calls = 0

        async def get(self, name: str) -> Any:
            self.calls += 1
            raise RedisDown(name)

        async def set(self, name: str, value: bytes, *, ex: int) -> Any:
            raise AssertionError("it is paused")

        async def aclose(self) -> None:
            pass

    async def run() -> None:
        down = Down()
        cache = AnswerCache(entries=1, redis=down)
        assert await cache.fetch("a", "p") is None
        assert not cache.shared
        await cache.share("a", "p", ONE)
        assert down.calls == 1

    asyncio.run(run())


@pytest.mark.parametrize("entries", [0, 100])
def test_a_hit_is_an_answer_of_its_own(tmp_path: Path, entries: int) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        kind = {"content-type": "image/png"}
        first, second = [
            (await client.post("/v1/predict", content=PNG, headers=kind)).json() for _ in range(2)
        ]
        assert first["prediction_id"] != second["prediction_id"]
        same = ("label", "confidence", "probabilities", "model")
        assert [first[name] for name in same] == [second[name] for name in same]
        records = sorted(journaled(tmp_path / "journal"), key=lambda each: each.at)
        assert [record.cached for record in records] == [False, bool(entries)]
        assert records[0].embedding == records[1].embedding

    serve(Runtime(tmp_path / "model", threads=1), tmp_path / "journal", use,
          cache_entries=entries)


@pytest.mark.parametrize(("step", "share", "cached"), [
    ("shadow", 1.0, False), ("canary-50", 1.0, False), ("canary-50", 0.0, True),
    ("idle", 1.0, True), ("held", 1.0, True)])
def test_known_images_are_computed_anew_while_models_are_compared(
    tmp_path: Path, step: str, share: float, *, cached: bool
) -> None:
    write_model_dir(tmp_path / "model", pixels=SPEC)

    async def use(client: httpx.AsyncClient, predictor: Predictor) -> None:
        predictor.slots.table = replace(predictor.slots.table, step=step)
        for _ in range(3):
            await client.post("/v1/predict", content=PNG, headers={"content-type": "image/png"})
        records = sorted(journaled(tmp_path / "journal"), key=lambda each: each.at)
        assert [record.cached for record in records] == [False, cached, cached]

    serve(Runtime(tmp_path / "model", threads=1), tmp_path / "journal", use,
          cache_entries=100, anew_share=share)
