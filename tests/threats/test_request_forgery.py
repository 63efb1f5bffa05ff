"""The service never fetches what a request names: there is no input that takes an address."""

from __future__ import annotations

import asyncio
import base64
import io
import pickle
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.bombs import chunk, png
from tests.raw_http import talk
from tests.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unharmed")]
AT_ONCE = 50
FORM = "multipart/form-data; boundary=x"


class Trap:
    """A server that counts who connects."""

    def __init__(self) -> None:
        self.connections = 0

    async def __call__(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


def form(*parts: tuple[str, bytes]) -> bytes:
    """A multipart body: what follows `form-data` in each part's head, and its content."""
    begin = b"--x\r\nContent-Disposition: form-data; "
    return b"".join(begin + head.encode() + b"\r\n\r\n" + body + b"\r\n"
                    for head, body in parts) + b"--x--\r\n"


def zipped(name: str, content: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, content)
    return archive.getvalue()


def arrow(name: str, content: bytes) -> bytes:
    table = pa.table({"image": pa.array([content], pa.binary()), "name": [name]})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def requests(url: str) -> Iterator[dict[str, Any]]:
    """Every way to name an address, on every route that takes an image."""
    text = url.encode()
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="%b"/></svg>' % text
    xml = b'<!DOCTYPE a [<!ENTITY b SYSTEM "%b">]><a>&b;</a>' % text
    link = png(12, 10, chunk(b"tEXt", b"URL\0" + text))
    heads = ('name="image"', f'name="image"; filename="{url}"',
             f"name=image; filename*=utf-8''{url}")
    forms = [form((head, body)) for body in (text, svg, xml, link) for head in heads]
    forms += [form(('name="image_url"', text)), form(('name="url"', text), ('name="image"', b""))]
    for path in ("/v1/predict", "/v1/explain"):
        for body in (text, svg, xml, link):
            for kind in ("image/png", "image/svg+xml", "image/*", "text/uri-list",
                         f'message/external-body; access-type=URL; URL="{url}"'):
                yield {"url": path, "content": body, "headers": {"content-type": kind}}
        yield {"url": path, "json": {"image": url, "url": url}}
        yield {"url": f"{path}?url={url}&image={url}&image_url={url}&target={url}", "content": link,
               "headers": {"content-type": "image/png", "referer": url, "content-location": url}}
    for path in ("/v1/predict", "/v1/explain", "/v1/predict_batch", "/predict"):
        for body in forms:
            yield {"url": path, "content": body, "headers": {"content-type": FORM}}
    for kind, make in (("application/zip", zipped), ("application/vnd.apache.arrow.stream", arrow)):
        for body in (text, svg, link):
            yield {"url": "/v1/predict_batch", "content": make(url, body),
                   "headers": {"content-type": kind}}
    encoded = [base64.b64encode(each).decode() for each in (text, svg, link)]
    for image in (url, {"url": url}, [url], f"data:image/png,{url}", *encoded):
        yield {"url": "/predict", "json": {"image": image, "url": url, "image_url": url}}
    for kind in ("application/vnd.bentoml+pickle", "application/octet-stream", "text/plain"):
        yield {"url": "/predict", "content": pickle.dumps({"image": url}),
               "headers": {"content-type": kind}}
    yield {"url": "/v1/feedback", "json": {"prediction_id": url, "label": url}}


def test_no_input_takes_an_address(service: Running) -> None:
    routes = service.client.get("/schema.json").json()["routes"]
    assert [route["route"] for route in routes] == ["/predict"]
    for route in routes:
        for name, field in route["input"]["properties"].items():
            assert field["type"] == "string", f"{name} may be a file, which BentoML fetches"
            assert "format" not in field, name
            assert "anyOf" not in field, name
        assert "$defs" not in route["input"]
        assert not route["input"].get("root_input")


def test_addresses_are_never_fetched(service: Running) -> None:
    async def run() -> None:
        trap = Trap()
        server = await asyncio.start_server(trap, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        address = service.client.base_url
        async with server, httpx.AsyncClient(base_url=address, timeout=60) as client:
            asked = list(requests(f"http://127.0.0.1:{port}/image.png"))
            for start in range(0, len(asked), AT_ONCE):
                answers = await asyncio.gather(*(
                    client.post(**each) for each in asked[start:start + AT_ONCE]))
                assert {each.status_code for each in answers} <= {200, 400, 404, 413, 415, 422, 503}
            for each in asked[:: len(asked) // 10]:
                await asyncio.gather(*(client.post(**each) for _ in range(AT_ONCE)))
            assert trap.connections == 0
            await talk(port, [b"GET / HTTP/1.1\r\n\r\n"], expect=1)
            assert trap.connections == 1, "the trap works"

    asyncio.run(run())
