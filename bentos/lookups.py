"""Routes that look back or around: labels, records, receipts, what serves."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from bentos.predictor import Predictor
from bentos.problems import Problem
from bentos.settings import store_home
from bentos.uploads import read_body
from resources.memberships import DamagedDataset
from resources.receipts import issue

JSON = "application/json"
logger = logging.getLogger("bentos.lookups")


class Label(BaseModel):
    """Body of ``POST /v1/feedback``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction_id: str
    label: str


async def feedback(request: Request, predictor: Predictor) -> Response:
    """A label for an earlier prediction; answers the record that was kept."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Problem(415, "unsupported-media-type", "send application/json")
    settings = predictor.settings
    body = await read_body(request, limit=settings.max_json_bytes, timeout_s=settings.body_timeout)
    try:
        label = Label.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise Problem(400, "malformed-json", f"the body is not JSON: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Problem(422, "invalid-feedback", f"`{where}`: {first['msg']}") from error
    kept = await predictor.history.keep_label(label.prediction_id, label.label)
    return Response(kept.model_dump_json(), media_type=JSON)


async def prediction(request: Request, predictor: Predictor) -> Response:
    """The ``PredictionRecord`` of one id, as it was journaled."""
    record = await predictor.history.find(request.path_params["prediction_id"])
    return Response(record.model_dump_json(), media_type=JSON)


async def receipt(request: Request, predictor: Predictor) -> Response:
    """Where one answer came from."""
    record, line = await predictor.history.find_line(request.path_params["prediction_id"])

    def make() -> bytes:
        card, folder = predictor.model_of(record.bento_tag, record.answer.model.version)
        shown = predictor.settings.receipt_images
        try:
            made = issue(record, line, card, folder if shown else None, store_home())
        except DamagedDataset as error:
            logger.warning("A receipt has no proofs: %s", error)
            made = issue(record, line, card, folder if shown else None, None)
        return made.model_dump_json().encode()

    async with predictor.history.turn:
        return Response(await asyncio.to_thread(make), media_type=JSON)


async def models(_: Request, predictor: Predictor) -> Response:
    """What each slot holds."""
    table = predictor.slots.table
    rows: list[dict[str, Any]] = [
        {"slot": slot, "weight": table.share(slot), "bento_tag": model.bento_tag,
         "sha256": model.card.program_sha256, **model.card.model_dump()}
        for slot, model in sorted(table.models.items())
    ]
    body = {"models": rows, "step": table.step, "revision": table.revision}
    return Response(orjson.dumps(body), media_type=JSON)
