"""Spans of requests reach a collector, within the trace that the caller began."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.model_dir import encode, random_image
from tests.running import SPEC, serving_tiny

pytestmark = pytest.mark.slow
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
SECONDS = 30.0


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, SimpleQueue[Span]]]:
    """Address of an OTLP collector, and the spans that it was sent."""
    spans: SimpleQueue[Span] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        spans.put(span)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_served(span: Span) -> bool:
    return bool(span.kind == Span.SPAN_KIND_SERVER) and "/v1/predict" in span.name


def test_a_request_in_a_trace_has_its_span_there(tmp_path: Path) -> None:
    image = encode(random_image(1, SPEC))
    headers = {"content-type": "image/png"}
    with collector() as (address, spans), serving_tiny(
        tmp_path, MLOPS_SERVICE_TRACES=address, MLOPS_SERVICE_TRACES_SHARE="0"
    ) as served:
        served.client.post("/v1/predict", content=image, headers=headers).raise_for_status()
        served.client.post("/v1/predict", content=image, headers={
            **headers, "traceparent": PARENT}).raise_for_status()
        until, found = time.monotonic() + SECONDS, []
        while time.monotonic() < until and not any(map(is_served, found)):
            with contextlib.suppress(Empty):
                found.append(spans.get(timeout=1.0))
    assert any(map(is_served, found)), "the request has no span"
    assert {each.trace_id.hex() for each in found} == {TRACE}, "a request that nobody traces"
