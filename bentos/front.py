"""``POST /v1/predict``: the one route whose microseconds count.

Everything that a framework would build for a request (routing, request and response objects,
header maps) costs more than decoding a small image; here it is done once, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from prometheus_client import Counter
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from bentos import metrics
from bentos.access import Gate
from bentos.predictor import Predictor, ready
from bentos.problems import Problem
from bentos.request_log import RequestLog
from bentos.uploads import image_of, read_image_body

PATH: Final = "/v1/predict"
CLIENT_HEADER: Final = b"x-client-id"
MAX_CLIENT_BYTES: Final = 200
_TYPE: Final = (b"content-type", b"application/json")
logger = logging.getLogger("bentos.front")

Headers = list[tuple[bytes, bytes]]
Reply = tuple[int, Headers, bytes]


class Front:
    """Answers ``POST /v1/predict``; ``predictor`` is None until the model is loaded."""

    def __init__(self, gate: Gate, log: RequestLog) -> None:
        self.predictor: Predictor | None = None
        self._gate: Final = gate
        self._log: Final = log
        self._seconds: Final = metrics.REQUEST_SECONDS.labels(PATH)
        self._good: Final[Counter] = metrics.REQUESTS.labels(PATH, "200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of an ASGI server, whose body is yet to come."""
        status, headers, body = await self.answer(scope, Request(scope, receive))
        start: dict[str, Any] = {
            "type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def answer(self, scope: Scope, body: Request | bytes) -> Reply:
        """Status, headers and body for a request whose body is here, or is yet to be read."""
        started = time.perf_counter()
        caller = "-"
        try:
            admitted = await self._gate.admit(scope, "predict")
            caller = admitted.name
            predictor = ready(self.predictor)
            if not isinstance(body, bytes):
                body = await read_image_body(body, predictor.settings)
            content = image_of(scope["headers"], body, predictor.settings)
            answered = await predictor.predict(
                content, started=started, caller=caller, client=client_of(scope, caller))
        except Problem as problem:
            metrics.REQUESTS.labels(PATH, str(problem.status)).inc()
            self._seconds.observe(time.perf_counter() - started)
            self._log.problem(PATH, problem, caller)
            return _refusal(problem)
        except Exception:
            metrics.REQUESTS.labels(PATH, "500").inc()
            logger.exception("POST %s failed", PATH)
            return _refusal(
                Problem(500, "internal-server-error", "the service failed; see its log"))
        asyncio.get_running_loop().call_soon(
            self._count, answered.prediction_id, caller, time.perf_counter() - started)
        return 200, [_TYPE, (b"content-length", b"%d" % len(answered.body))], answered.body

    def _count(self, prediction_id: str, caller: str, seconds: float) -> None:
        """What is counted and logged of an answer, after it has left."""
        self._good.inc()
        self._seconds.observe(seconds)
        self._log.answer(PATH, prediction_id, caller, seconds)


def _refusal(problem: Problem) -> Reply:
    response = problem.response()
    return problem.status, response.raw_headers, bytes(response.body)


def client_of(scope: Scope, caller: str) -> str:
    """Who is kept on one slot: ``X-Client-Id`` of this caller, else the caller, else the address.

    The header is under the caller's name, so that nobody can steer another caller's clients.
    """
    for name, value in scope["headers"]:
        if name == CLIENT_HEADER:
            return f"{caller}/{value[:MAX_CLIENT_BYTES].decode('latin-1')}"
    if caller == "anonymous" and scope.get("client"):
        return str(scope["client"][0])
    return caller
