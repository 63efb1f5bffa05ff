"""Ray Serve with its own batching."""

from __future__ import annotations

from typing import Any

from classifier import backend
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 1})
class Classifier:
    """Classify."""

    def __init__(self) -> None:
        self.work = backend()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def many(self, contents: list[bytes]) -> list[dict[str, Any]]:
        """Answer a batch."""
        return self.work(contents)

    async def __call__(self, request: Request) -> dict[str, Any]:
        return await self.many(await request.body())


app = Classifier.bind()
