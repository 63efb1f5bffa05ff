"""Requests as JSON lines on the log, each with its prediction id; never a body or a credential."""

from __future__ import annotations

import logging
from typing import Final, Literal

import orjson

from bentos.problems import Problem

logger = logging.getLogger("bentos.requests")


class RequestLog:
    """Logs problems, all requests or none."""

    def __init__(self, which: Literal["problems", "all", "off"]) -> None:
        self._problems: Final = which != "off"
        self._answers: Final = which == "all"

    def answer(self, route: str, prediction_id: str, caller: str, seconds: float) -> None:
        """One answered request."""
        if self._answers:
            logger.info("%s", orjson.dumps({
                "route": route, "status": 200, "prediction_id": prediction_id, "caller": caller,
                "ms": round(seconds * 1000, 3),
            }).decode())

    def problem(self, route: str, problem: Problem, caller: str) -> None:
        """One refused request, unless it was refused for haste: a flood must not flood the log."""
        if self._problems and problem.status not in (429, 503):
            logger.info("%s", orjson.dumps({
                "route": route, "status": problem.status, "problem": problem.kind,
                "detail": problem.detail, "caller": caller,
            }).decode())
