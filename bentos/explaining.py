"""``POST /v1/explain``: which pixels an answer rests on, as a picture or as numbers."""

from __future__ import annotations

import asyncio
from typing import Any, Final, get_args

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from bentos.explainer import Explainer, Method, overlay
from bentos.model import ServedModel, decode_to
from bentos.predictor import Predictor
from bentos.problems import Problem, unavailable
from bentos.uploads import read_image
from mlops_assets.contracts.pixels import UndecodableImage

METHODS: Final[tuple[Method, ...]] = get_args(Method)
FORMATS: Final = ("png", "json")
MAX_WAITING: Final = 4


class Explaining:
    """One explanation at a time: it costs as much as many predictions, which go first."""

    def __init__(self) -> None:
        self._turn: Final = asyncio.Semaphore(1)
        self._waiting = 0
        self._explainers: dict[str, Explainer] = {}

    async def explain(self, request: Request, predictor: Predictor) -> Response:
        """A heat map of the champion's answer, or of the class that ``target`` names.

        Raises:
            Problem: 400 or 422 for the query, as ``read_image`` for the image, 503 when
                ``MAX_WAITING`` explanations wait already.
        """
        method, form = _option(request, "method", METHODS), _option(request, "format", FORMATS)
        model = predictor.slots.table.models["champion"]
        target = request.query_params.get("target")
        if target is not None and target not in model.card.classes:
            known = ", ".join(model.card.classes[:20])
            raise Problem(422, "unknown-class", f"`{target[:40]}` is none of: {known}")
        content = await read_image(request, predictor.settings)
        if self._waiting >= MAX_WAITING:
            raise unavailable("overloaded", f"{self._waiting} explanations wait already")
        self._waiting += 1
        try:
            async with self._turn:
                body = await asyncio.to_thread(
                    self._work, model, content, target, method, form)
        except UndecodableImage as error:
            raise Problem(422, "undecodable-image", str(error)) from error
        finally:
            self._waiting -= 1
        return Response(body, media_type="image/png" if form == "png" else "application/json")

    def _work(
        self, model: ServedModel, content: bytes, target: str | None, method: Method, form: str
    ) -> bytes:
        explainer = self._explainers.get(model.card.computation)
        if explainer is None:
            explainer = Explainer(model.runtime.folder, model.card, model.runtime.predict)
            self._explainers = {model.card.computation: explainer}
        pixels = decode_to(model.card, content)
        probabilities, _ = model.runtime.predict(pixels[None])
        classes = model.card.classes
        index = int(np.argmax(probabilities[0])) if target is None else classes.index(target)
        heat = explainer.heat(pixels, index, method)
        if form == "png":
            return overlay(pixels, heat)
        body: dict[str, Any] = {
            "label": classes[int(np.argmax(probabilities[0]))], "target": classes[index],
            "confidence": float(probabilities[0][index]), "method": explainer.method_for(method),
            "heat": heat,
            "model": {"version": model.card.version, "sha256": model.card.program_sha256},
        }
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _option(request: Request, name: str, allowed: tuple[Any, ...]) -> Any:
    value = request.query_params.get(name, allowed[0])
    if value not in allowed:
        raise Problem(422, "invalid-query", f"`{name}` is one of {', '.join(allowed)}")
    return value
