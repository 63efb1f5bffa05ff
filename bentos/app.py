"""Everything under ``/v1`` and the service's own pages, as one ASGI application."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bentos import metrics
from bentos.access import Gate, is_loopback
from bentos.caller import Needed
from bentos.explaining import Explaining
from bentos.front import PATH as PREDICT
from bentos.front import Front
from bentos.lookups import feedback, models, prediction, receipt
from bentos.many import predict_batch
from bentos.openapi import describe
from bentos.predictor import Predictor, ready
from bentos.problems import Problem, answer_fault, answer_http_error
from bentos.request_log import RequestLog

JSON: Final = "application/json"
Endpoint = Callable[[Request, Predictor], Awaitable[Response]]


class App:
    """The application; it answers 503 until ``predictor`` holds one."""

    def __init__(self, gate: Gate, log: RequestLog) -> None:
        self.front: Final = Front(gate, log)
        self._gate: Final = gate
        self._log: Final = log
        explaining = Explaining()
        self._starlette: Final = Starlette(
            routes=[
                self._route("/v1/predict_batch", predict_batch, "POST", "predict"),
                self._route("/v1/explain", explaining.explain, "POST", "explain"),
                self._route("/v1/feedback", feedback, "POST", "feedback"),
                self._route("/v1/predictions/{prediction_id}", prediction, "GET", "predict"),
                self._route("/v1/predictions/{prediction_id}/receipt", receipt, "GET", "predict"),
                self._route("/v1/models", models, "GET", "predict"),
                Route(PREDICT, _post_only, methods=["POST"]),
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/docs.json", _docs, methods=["GET"]),
            ],
            exception_handlers={HTTPException: answer_http_error, Exception: answer_fault},
        )
        # A redirect would name whatever the `Host` header says.
        self._starlette.router.redirect_slashes = False

    @property
    def predictor(self) -> Predictor | None:
        """What answers."""
        return self.front.predictor

    @predictor.setter
    def predictor(self, predictor: Predictor | None) -> None:
        self.front.predictor = predictor

    @staticmethod
    def owns(path: str) -> bool:
        """Whether this application, and not BentoML's, answers a path."""
        return path.startswith("/v1/") or path in ("/metrics", "/docs.json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] == PREDICT and scope["method"] == "POST":
            await self.front(scope, receive, send)
        else:
            await self._starlette(scope, receive, send)

    def _route(self, path: str, endpoint: Endpoint, method: str, needed: Needed) -> Route:
        """A route that admits its callers, and counts and times its answers, errors included."""
        seconds = metrics.REQUEST_SECONDS.labels(path)

        async def measured(request: Request) -> Response:
            started, status, caller = time.perf_counter(), 500, "-"
            try:
                admitted = await self._gate.admit(request.scope, needed)
                caller = request.scope["caller"] = admitted.name
                response = await endpoint(request, ready(self.predictor))
                status = response.status_code
            except Problem as problem:
                status = problem.status
                self._log.problem(path, problem, caller)
                response = problem.response()
            finally:
                took = time.perf_counter() - started
                metrics.REQUESTS.labels(path, str(status)).inc()
                seconds.observe(took)
            if status < 400:
                self._log.answer(path, request.path_params.get("prediction_id", "-"), caller, took)
            return response

        return Route(path, measured, methods=[method])

    async def _metrics(self, request: Request) -> Response:
        """Prometheus metrics: for programs on this machine, else with scope `admin`."""
        client = request.scope.get("client")
        try:
            if client is None or not is_loopback(client[0]):
                await self._gate.admit(request.scope, "admin")
        except Problem as problem:
            return problem.response()
        return Response(metrics.exposition(), headers={"content-type": metrics.CONTENT_TYPE})


async def _post_only(_: Request) -> Response:
    """Never reached: ``Front`` takes POST, and Starlette answers 405 to anything else."""
    raise AssertionError("POST /v1/predict is answered before routing")


async def _docs(_: Request) -> Response:
    """The OpenAPI document."""
    return Response(orjson.dumps(describe()), media_type=JSON)
