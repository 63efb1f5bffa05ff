"""FastAPI with opportunistic batching in a thread, the raw body, and a fast decoder."""

from __future__ import annotations

import asyncio
from typing import Any

from classifier import backend
from fastapi import FastAPI, Request
from fastapi.responses import ORJSONResponse

app = FastAPI(default_response_class=ORJSONResponse)
work = backend()
queue: list[tuple[bytes, asyncio.Future[dict[str, Any]]]] = []
running = False


async def drain() -> None:
    """Answer what waits, up to 32 at once, until nothing waits."""
    global running
    running = True
    while queue:
        batch = queue[:32]
        del queue[:32]
        answers = await asyncio.to_thread(work, [content for content, _ in batch])
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)
    running = False


@app.post("/predict")
async def predict(request: Request) -> ORJSONResponse:
    """Classify."""
    future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    queue.append((await request.body(), future))
    if not running:
        asyncio.get_running_loop().create_task(drain())
    return ORJSONResponse(await future)
