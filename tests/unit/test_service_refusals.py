"""Everything the service refuses, and how it says so."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bentos.predictor import Predictor
from bentos.runtime import Runtime
from tests.model_dir import write_model_dir
from tests.serving import PNG, SPEC, journaled, refused, serve


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model_dir(folder, pixels=SPEC)
    return Runtime(folder, threads=1)


def bomb(width: int, height: int) -> bytes:
    """A valid PNG header of a huge image with a few bytes of data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b"", 400, "empty-image"),
        (b"hello, this is text", 415, "not-an-image"),
        (PNG[:-30], 422, "undecodable-image"),
        (PNG[:20], 422, "undecodable-image"),
        (b"\xff\xd8\xff", 422, "undecodable-image"),
        (bomb(40_000, 40_000), 413, "too-many-pixels"),
        (bomb(0, 7), 422, "undecodable-image"),
        (PNG + bytes(30_000), 413, "body-too-large"),
    ],
)
def test_a_bad_image_is_refused_and_not_journaled(
    runtime: Runtime, tmp_path: Path, content: bytes, status: int, kind: str
) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        refused(
            await client.post(
                "/v1/predict", content=content, headers={"content-type": "image/png"}
            ),
            status,
            kind,
        )
        refused(await client.post("/v1/predict", files={"image": content}), status, kind)
        assert journaled(tmp_path) == []

    serve(runtime, tmp_path, use, max_body_bytes=20_000)


def test_a_body_is_counted_whatever_its_length_header_says(
    runtime: Runtime, tmp_path: Path
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield bytes(1000)

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        headers = {"content-type": "image/png", "content-length": "10"}
        response = await client.post("/v1/predict", content=endless(), headers=headers)
        refused(response, 413, "body-too-large")
        native = await client.post(
            "/predict", content=endless(), headers={"content-type": "application/json"}
        )
        assert native.status_code in (404, 413)

    serve(runtime, tmp_path, use, max_body_bytes=20_000)


def test_a_slow_body_is_given_up(runtime: Runtime, tmp_path: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield PNG[:10]
        await asyncio.sleep(5)

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        response = await client.post(
            "/v1/predict", content=slow(), headers={"content-type": "image/png"}
        )
        refused(response, 408, "request-timeout")

    serve(runtime, tmp_path, use, body_timeout=0.05)


@pytest.mark.parametrize(
    ("body", "kind", "problem"),
    [
        (b"--x\r\n", "multipart/form-data; boundary=x", "malformed-multipart"),
        (b"garbage", "multipart/form-data; boundary=x", "malformed-multipart"),
        (b"garbage", "multipart/form-data", "malformed-multipart"),
        (
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nhi\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            "missing-image",
        ),
        (
            b"--x\r\nA: b\r\n\r\n\r\n" * 20 + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            "malformed-multipart",
        ),
    ],
)
def test_malformed_multipart_is_refused(
    runtime: Runtime, tmp_path: Path, body: bytes, kind: str, problem: str
) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        response = await client.post("/v1/predict", content=body, headers={"content-type": kind})
        refused(response, 400, problem)

    serve(runtime, tmp_path, use)


def test_wrong_types_methods_and_paths_are_problems(runtime: Runtime, tmp_path: Path) -> None:
    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        refused(await client.post("/v1/predict", json={}), 415, "unsupported-media-type")
        refused(await client.post("/v1/predict"), 415, "unsupported-media-type")
        wrong = await client.get("/v1/predict")
        refused(wrong, 405, "method-not-allowed")
        assert wrong.headers["allow"] == "POST"
        refused(await client.get("/v1/none"), 404, "not-found")
        refused(await client.get("/v1/predictions/none"), 404, "unknown-prediction")
        refused(await client.get(f"/v1/predictions/{'f' * 32}"), 404, "unknown-prediction")
        refused(await client.post("/predict", content=b"x"), 400, "bad-request")

    serve(runtime, tmp_path, use)
