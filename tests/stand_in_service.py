"""A tiny HTTP server that answers as the service's contract says, for tests of its clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = {
    "prediction_id": "0" * 32, "label": "Bag", "confidence": 0.9,
    "probabilities": {"Bag": 0.9, "Coat": 0.1}, "latency_ms": 1.0,
    "model": {"name": "classifier", "version": "1", "sha256": "a" * 64, "slot": "champion"},
}


class Service(BaseHTTPRequestHandler):
    """Answers as the service's contract says; what is no PNG is refused."""

    labels: list[dict[str, Any]]
    refuses: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.refuses:
            type(self).refuses -= 1
            self.reply(503, {"title": "Service Unavailable", "detail": "too many wait"})
            return
        if self.path == "/v1/feedback":
            self.labels.append(json.loads(body))
            self.reply(200, {"accepted": True})
        elif self.headers["content-type"] != "image/png":
            self.reply(415, {"title": "Unsupported Media Type", "detail": "send a PNG"})
        else:
            self.reply(200, ANSWER)

    def reply(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        if status == 503:
            self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Nothing on the test's stderr."""


@contextmanager
def running_service() -> Iterator[str]:
    """Serve on a free port; gives the address."""
    Service.labels, Service.refuses = [], 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
