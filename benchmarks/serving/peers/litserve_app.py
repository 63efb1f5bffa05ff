"""LitServe with its own batching."""

from __future__ import annotations

import base64
import os
from typing import Any

import litserve as ls
from classifier import backend


class Classifier(ls.LitAPI):
    """Classify."""

    def setup(self, device: str) -> None:
        self.work = backend()

    def decode_request(self, request):  # LitServe takes an annotation for a way to parse
        return base64.b64decode(request["images"][0])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return list(inputs)

    def predict(self, inputs: list[bytes]) -> list[dict[str, Any]]:
        return self.work(inputs)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    api = Classifier(max_batch_size=32, batch_timeout=0.002, enable_async=False)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning",
               generate_client_file=False, access_log=False)
