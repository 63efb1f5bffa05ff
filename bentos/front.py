"""``POST /v1/predict`` as bare ASGI: the one route whose microseconds count.

Everything that a framework would build for a request (routing, request and response objects,
header maps) costs more than decoding a small image; here it is done once, or not at all.
"""

from __future__ import annotations

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
from bentos.uploads import read_image

PATH: Final = "/v1/predict"
CLIENT_HEADER: Final = b"x-client-id"
MAX_CLIENT_BYTES: Final = 200
_TYPE: Final = (b"content-type", b"application/json")
logger = logging.getLogger("bentos.front")


class Front:
    """Answers ``POST /v1/predict``; ``predictor`` is None until the model is loaded."""

    def __init__(self, gate: Gate, log: RequestLog) -> None:
        self.predictor: Predictor | None = None
        self._gate: Final = gate
        self._log: Final = log
        self._seconds: Final = metrics.REQUEST_SECONDS.labels(PATH)
        self._good: Final[Counter] = metrics.REQUESTS.labels(PATH, "200")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = time.perf_counter()
        caller = prediction = "-"
        try:
            admitted = await self._gate.admit(scope, "predict")
            caller = admitted.name
            predictor = ready(self.predictor)
            content = await read_image(Request(scope, receive), predictor.settings)
            answered = await predictor.predict(
                content, started=started, caller=caller, client=client_of(scope, caller))
            prediction = answered.prediction_id
        except Problem as problem:
            metrics.REQUESTS.labels(PATH, str(problem.status)).inc()
            self._seconds.observe(time.perf_counter() - started)
            self._log.problem(PATH, problem, caller)
            await problem.response()(scope, receive, send)
            return
        except Exception:
            metrics.REQUESTS.labels(PATH, "500").inc()
            logger.exception("POST %s failed", PATH)
            fault = Problem(500, "internal-server-error", "the service failed; see its log")
            await fault.response()(scope, receive, send)
            return
        body = answered.body
        start: dict[str, Any] = {
            "type": "http.response.start", "status": 200,
            "headers": [_TYPE, (b"content-length", b"%d" % len(body))],
        }
        await send(start)
        await send({"type": "http.response.body", "body": body})
        self._good.inc()
        seconds = time.perf_counter() - started
        self._seconds.observe(seconds)
        self._log.answer(PATH, prediction, caller, seconds)


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
