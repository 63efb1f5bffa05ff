"""The BentoML service: ``bentoml serve classifier:<version>``."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import os
import signal
import time
from typing import Any, Final, cast

import bentoml
import orjson

from bentos.access import Gate
from bentos.app import App
from bentos.connections import serve_with
from bentos.cpus import cpu_quota
from bentos.edge import CALLER, Edge
from bentos.predictor import Predictor
from bentos.problems import Problem
from bentos.request_log import RequestLog
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings, images_dir, journal_dir, model_dir
from mlops_assets.contracts.pixels import MAX_PIXELS
from mlops_assets.contracts.prediction import Answer

SETTINGS: Final = ServiceSettings()
NATIVE_ROUTE: Final = "/predict"
PARENT_SECONDS: Final = 1.0
# It may be gone before the model is loaded, and whoever takes its place is not it.
PARENT: Final = SETTINGS.parent or os.getppid()
gate: Final = Gate.from_environment()
app: Final = App(gate, RequestLog(SETTINGS.log_requests))
# With traces on, own routes go through BentoML's middleware, which makes the spans.
serve_with(head_seconds=SETTINGS.body_timeout, own=None if SETTINGS.traces else app)
logger = logging.getLogger("bentoml.serve")


def bento_tag() -> str:
    """``name:version`` of the bento this process serves, or ``dev`` from a working tree."""
    context = bentoml.server_context
    if context.bento_version in ("", "not available"):
        return "dev"
    return f"{context.bento_name}:{context.bento_version}"


@bentoml.service(
    name="classifier",
    workers=SETTINGS.workers,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing=SETTINGS.tracing,
    envs=[
        {"name": "BENTOML_DO_NOT_TRACK", "value": "True"},
        {"name": "OPENCV_IO_MAX_IMAGE_PIXELS", "value": str(MAX_PIXELS)},
        {"name": "OPENCV_LOG_LEVEL", "value": "OFF"},
        # uvicorn would believe X-Forwarded-For of a local client, and limits go by address.
        {"name": "FORWARDED_ALLOW_IPS", "value": "none"},
    ],
)
class Classifier:
    """Classifies images. ``POST /v1/predict`` is the fast way; ``/predict`` takes base64 JSON."""

    def __init__(self) -> None:
        """Load, warm and check the model before the first request is taken.

        Raises:
            ModelRefused: the model folder is incomplete, altered or computes something else.
        """
        runtime = Runtime(
            model_dir(), threads=SETTINGS.lane_threads, lone_threads=cpu_quota(),
            deterministic=SETTINGS.deterministic)
        self._predictor = Predictor(
            runtime, journal_dir=journal_dir(), images_dir=images_dir(), bento_tag=bento_tag(),
            settings=SETTINGS,
        )
        logger.info("Model %s ready: golden error %.2g", runtime.card.version,
                    runtime.golden_error)

    @bentoml.api(route=NATIVE_ROUTE)  # type: ignore[untyped-decorator]
    async def predict(self, image: str) -> Answer:
        """Classify one image given as base64 text."""
        started = time.perf_counter()
        try:
            content = _from_base64(image)
            answered = await self._predictor.predict(
                content, started=started, caller=CALLER.get())
        except Problem as problem:
            # BentoML sends a Response as it is; a raised error would lose its headers.
            return problem.response()  # type: ignore[return-value]
        return Answer.model_validate(orjson.loads(answered.body))

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Take requests; stop when the server process is gone, whose port workers would keep."""
        await gate.start()
        self._predictor.follow()
        app.predictor = self._predictor
        # What was loaded stays: a collection that looks at all of it would hold up answers.
        gc.collect()
        gc.freeze()
        if bentoml.server_context.worker_index is not None:
            _stop_without(PARENT)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def close(self) -> None:
        """Answer what runs, then close the journal."""
        app.predictor = None
        await self._predictor.close()
        await gate.close()

    async def __is_ready__(self) -> bool:
        """Whether ``/readyz`` is 200."""
        return app.predictor is not None and self._predictor.ready


def _stop_without(parent: int) -> None:
    if os.getppid() != parent:
        logger.error("The server process %d is gone: stopping", parent)
        os.kill(os.getpid(), signal.SIGTERM)
        return
    asyncio.get_running_loop().call_later(PARENT_SECONDS, _stop_without, parent)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Problem(400, "malformed-base64", f"`image` is not base64: {error}") from error


# The decorator made it a `Service`, which mypy can not know.
cast("Any", Classifier).add_asgi_middleware(
    Edge, own=app, gate=gate, json_path=NATIVE_ROUTE,
    max_json_bytes=SETTINGS.max_body_bytes * 4 // 3 + 1024, body_timeout=SETTINGS.body_timeout,
)
