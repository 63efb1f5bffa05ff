"""``POST /v1/predict_batch``: many images in one request, each with its own outcome."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from bentos.bundles import read_bundle
from bentos.front import client_of
from bentos.predictor import Predictor
from bentos.problems import Problem

# Below the queue's limit, so that one bundle does not shed everybody else's images.
AT_ONCE: Final = 64


async def predict_batch(request: Request, predictor: Predictor) -> Response:
    """Answers in the order of the images; one that is refused is a problem in its place.

    The status is 200 when the bundle could be read, whatever becomes of its images.
    """
    started = time.perf_counter()
    caller: str = request.scope["caller"]
    client = client_of(request.scope, caller)
    images = await read_bundle(request, predictor.settings)
    slots = asyncio.Semaphore(AT_ONCE)

    async def answer(name: str, content: bytes) -> bytes:
        async with slots:
            try:
                answered = await predictor.predict(
                    content, started=started, caller=caller, client=client)
            except Problem as problem:
                return b'{"name":%b,"problem":%b}' % (
                    orjson.dumps(name), bytes(problem.response().body))
            return b'{"name":%b,"answer":%b}' % (orjson.dumps(name), answered.body)

    results = await asyncio.gather(*(answer(name, content) for name, content in images))
    return Response(b'{"results":[%b]}' % b",".join(results), media_type="application/json")
