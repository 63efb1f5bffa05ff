"""The ``/v1`` routes, mounted into the Bento service."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos import metrics
from bentos.predictor import Predictor
from bentos.problems import Problem, answer_fault, answer_http_error, unavailable
from bentos.uploads import read_body, read_image

Endpoint = Callable[[Request], Awaitable[Response]]
JSON: Final = "application/json"


class Label(BaseModel):
    """Body of ``POST /v1/feedback``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prediction_id: str
    label: str


def create_app() -> Starlette:
    """The application; it answers 503 until ``app.state.predictor`` holds a ``Predictor``."""
    app = Starlette(
        routes=[
            _route("/v1/predict", predict, "POST"),
            _route("/v1/feedback", feedback, "POST"),
            _route("/v1/predictions/{prediction_id}", prediction, "GET"),
            _route("/v1/models", models, "GET"),
            Route("/metrics", metrics_page, methods=["GET"]),
        ],
        exception_handlers={HTTPException: answer_http_error, Exception: answer_fault},
    )
    app.state.predictor = None
    return app


async def predict(request: Request) -> Response:
    """One image, as multipart field ``image`` or raw, to an ``Answer``."""
    started = time.perf_counter()
    predictor = _predictor(request)
    content = await read_image(request, predictor.settings)
    answer = await predictor.predict(content, started=started)
    return Response(orjson.dumps(answer.model_dump()), media_type=JSON)


async def feedback(request: Request) -> Response:
    """A label for an earlier prediction; answers the record that was kept."""
    predictor = _predictor(request)
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
    return Response(orjson.dumps(kept.model_dump()), media_type=JSON)


async def prediction(request: Request) -> Response:
    """The ``PredictionRecord`` of one id, as it was journaled."""
    record = await _predictor(request).history.find(request.path_params["prediction_id"])
    return Response(orjson.dumps(record.model_dump()), media_type=JSON)


async def models(request: Request) -> Response:
    """What each slot holds."""
    predictor = _predictor(request)
    card: dict[str, Any] = predictor.card.model_dump()
    slot = {"slot": "champion", "weight": 1.0, "bento_tag": predictor.bento_tag}
    return Response(
        orjson.dumps({"models": [slot | {"sha256": card["program_sha256"]} | card]}),
        media_type=JSON,
    )


async def metrics_page(_: Request) -> Response:
    """Prometheus metrics."""
    return Response(metrics.exposition(), headers={"content-type": metrics.CONTENT_TYPE})


def _predictor(request: Request) -> Predictor:
    predictor = request.app.state.predictor
    if not isinstance(predictor, Predictor) or not predictor.ready:
        raise unavailable("not-ready", "no model is loaded")
    return predictor


def _route(path: str, endpoint: Endpoint, method: str) -> Route:
    """A route that counts and times its answers under its template, errors included."""
    seconds = metrics.REQUEST_SECONDS.labels(path)

    async def measured(request: Request) -> Response:
        started = time.perf_counter()
        status = 500
        try:
            response = await endpoint(request)
            status = response.status_code
        except Problem as problem:
            status = problem.status
            response = problem.response()
        finally:
            metrics.REQUESTS.labels(path, str(status)).inc()
            seconds.observe(time.perf_counter() - started)
        return response

    return Route(path, measured, methods=[method])
