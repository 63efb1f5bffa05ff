"""Routes that ask the service for a person: an image to try, and why it answers so."""

from __future__ import annotations

import time
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from ui.server import schemas
from ui.server.routes.context import Anyone, Operator, TheService, TheWorld
from ui.server.views.predictions import prediction

router = APIRouter()
MAX_BYTES: Final = 20 << 20
JOURNAL_TRIES: Final = 20


async def read_body(request: Request) -> bytes:
    """An uploaded image of bounded size.

    Raises:
        HTTPException: 413 beyond 20 MiB, 422 without a byte.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BYTES:
            raise HTTPException(413, "an image has at most 20 MiB here")
    if not content:
        raise HTTPException(422, "send the image as the body")
    return bytes(content)


@router.post("/try")
async def post_try(
    request: Request, world: TheWorld, service: TheService, person: Operator
) -> schemas.PredictionDetail:
    """Classify one image; the answer is journaled as every other."""
    content = await read_body(request)

    def work() -> schemas.PredictionDetail | None:
        answer = service.predict(content, client=f"console {person.name}")
        for _ in range(JOURNAL_TRIES):
            found = prediction(world, answer.prediction_id)
            if found is not None:
                return found
            time.sleep(0.05)
        return None

    found = await run_in_threadpool(work)
    if found is None:
        raise HTTPException(502, "the answer is not in this home's journal: the service writes "
                                 "another one")
    return found


@router.post("/try/explain")
async def post_explain(
    request: Request, world: TheWorld, service: TheService, _: Anyone, target: str | None = None
) -> schemas.Explanation:
    """Which parts of an image speak for a class; changes nothing."""
    content, began = await read_body(request), time.monotonic()
    body = await run_in_threadpool(service.explain, content, target)
    return schemas.Explanation(
        method=body["method"], label=body["target"],
        model=world.store.value.label(body["model"]["version"]),
        seconds=time.monotonic() - began, heat=body["heat"])
