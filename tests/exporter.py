"""A small exporter for tests: ``python -m tests.exporter PORT FILE`` serves FILE at /metrics."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Exporter(BaseHTTPRequestHandler):
    """Answers every GET with the file as it is now."""

    path_of_file: Path

    def do_GET(self) -> None:
        """Prometheus' look."""
        body = self.path_of_file.read_bytes()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: a look comes every second."""


if __name__ == "__main__":
    Exporter.path_of_file = Path(sys.argv[2])
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Exporter).serve_forever()
