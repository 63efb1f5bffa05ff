"""From a request to the bytes of one image, within limits that do not trust the client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from bentos.dimensions import read_size
from bentos.problems import Problem
from bentos.settings import ServiceSettings
from mlops_assets.contracts.pixels import UndecodableImage, sniff_format

IMAGE_FIELD: Final = b"image"
MAX_PARTS: Final = 8


async def read_body(request: Request, *, limit: int, timeout_s: float) -> bytes:
    """The whole body, at most ``limit`` bytes, within ``timeout_s`` seconds.

    Raises:
        Problem: 413 too large, 408 too slow, 400 the client went away.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise Problem(
            408,
            "request-timeout",
            f"the body did not arrive within {timeout_s:g} seconds",
            headers={"connection": "close"},
        ) from error
    except ClientDisconnect as error:
        raise Problem(400, "incomplete-body", "the client left before its body ended") from error
    return bytes(body)


async def read_image(request: Request, settings: ServiceSettings) -> bytes:
    """Bytes of the uploaded image: multipart field ``image``, or a raw ``image/*`` body.

    Raises:
        Problem: 400, 408, 413, 415 or 422; see ``read_body`` and ``check_image``.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" and not kind.startswith(b"image/"):
        raise Problem(
            415,
            "unsupported-media-type",
            "send multipart/form-data with a file field `image`, or the image itself as image/*",
            headers={"accept-post": "multipart/form-data, image/*"},
        )
    content = await read_body(
        request, limit=settings.max_body_bytes, timeout_s=settings.body_timeout
    )
    if kind == b"multipart/form-data":
        content = _image_part(content, options.get(b"boundary", b""))
    check_image(content, max_pixels=settings.max_pixels)
    return content


def check_image(content: bytes, *, max_pixels: int) -> int:
    """Pixels (width x height) that the header of ``content`` states; nothing is decoded.

    Raises:
        Problem: 400 empty, 415 no image, 422 a damaged header, 413 more than ``max_pixels``.
    """
    if not content:
        raise Problem(400, "empty-image", "the image is empty (0 bytes)")
    form = sniff_format(content)
    if form is None:
        raise Problem(415, "not-an-image", "the bytes are no PNG, JPEG, WebP, BMP, TIFF or GIF")
    try:
        width, height = read_size(content, form)
    except UndecodableImage as error:
        raise Problem(422, "undecodable-image", str(error)) from error
    if width * height > max_pixels:
        raise Problem(
            413,
            "too-many-pixels",
            f"the image has {width} x {height} pixels; the limit is {max_pixels} in all",
        )
    return width * height


def _too_large(limit: int) -> Problem:
    # What is left of the body is never read, so the connection can not be used again.
    return Problem(
        413, "body-too-large", f"the body exceeds {limit} bytes", headers={"connection": "close"}
    )


@dataclass(slots=True)
class _Parts:
    """Collects the parts of a multipart body; only the ``image`` field's bytes are kept."""

    images: list[bytearray] = field(default_factory=list)
    parts: int = 0
    ended: bool = False
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _into: bytearray | None = None

    def begin(self) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise Problem(400, "malformed-multipart", f"the body has more than {MAX_PARTS} parts")
        self._into = None

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value.decode("latin-1"))
            if options.get(b"name") == IMAGE_FIELD:
                self._into = bytearray()
                self.images.append(self._into)
        self._name.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into += data[start:end]

    def end(self) -> None:
        self.ended = True


def _image_part(body: bytes, boundary: bytes) -> bytes:
    if not boundary:
        raise Problem(400, "malformed-multipart", "the content type names no boundary")
    found = _Parts()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": found.begin,
                "on_header_field": found.header_name,
                "on_header_value": found.header_value,
                "on_header_end": found.header_end,
                "on_part_data": found.data,
                "on_end": found.end,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Problem(400, "malformed-multipart", f"the multipart body: {error}") from error
    if not found.ended:
        raise Problem(400, "malformed-multipart", "the multipart body is cut off")
    if len(found.images) != 1:
        raise Problem(
            400, "missing-image", f"the body has {len(found.images)} fields `image`; send one"
        )
    return bytes(found.images[0])
