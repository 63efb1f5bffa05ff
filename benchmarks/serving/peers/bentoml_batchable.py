"""A BentoML service with its own adaptive batching."""

from __future__ import annotations

import base64
from typing import Any

import bentoml
from classifier import backend


@bentoml.service(name="peer", workers=1, metrics={"enabled": False},
                 logging={"access": {"enabled": False}})
class Peer:
    """Classify."""

    def __init__(self) -> None:
        self.work = backend()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10_000)
    def predict(self, images: list[str]) -> list[dict[str, Any]]:
        """Answer a batch."""
        return self.work([base64.b64decode(each) for each in images])
