"""What Prometheus scrapes of MLflow: its requests and how long they take.

MLflow's own exporter asks for gunicorn, which this platform does not start, and sees nothing of the
routes beside Flask's.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH: Final = "/metrics"
# What asks whether it is there would hide what is asked of it.
UNCOUNTED: Final = ("/health", "/version")
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
FAULT: Final = 500

REGISTRY: Final = CollectorRegistry()
PROCESS: Final = ProcessCollector(registry=REGISTRY)
REQUESTS: Final = Counter(
    "mlops_mlflow_requests", "Answered requests to MLflow", ["method", "status"],
    registry=REGISTRY)
REQUEST_SECONDS: Final = Histogram(
    "mlops_mlflow_request_seconds", "Seconds from a request to the end of MLflow's answer",
    ["method"], buckets=SECONDS, registry=REGISTRY)


class Measured:
    """An ASGI application that counts and times another's answers, and tells them at ``PATH``."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await _tell(send)
        elif scope["type"] == "http" and scope["path"] not in UNCOUNTED:
            await self._measure(scope, receive, send)
        else:
            await self._application(scope, receive, send)

    async def _measure(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = time.perf_counter(), FAULT

        async def note(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method = scope["method"] if scope["method"] in METHODS else "other"
        try:
            await self._application(scope, receive, note)
        finally:
            REQUESTS.labels(method, str(status)).inc()
            REQUEST_SECONDS.labels(method).observe(time.perf_counter() - began)


async def _tell(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", CONTENT_TYPE_LATEST.encode())]})
    await send({"type": "http.response.body", "body": generate_latest(REGISTRY)})
