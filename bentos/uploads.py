"""From a request to the bytes of one image, within limits that do not trust the client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from bentos.dimensions import read_size
from bentos.multipart import image_parts
from bentos.problems import Problem
from bentos.settings import ServiceSettings
from mlops_assets.contracts.pixels import UndecodableImage, sniff_format

MAX_PARTS: Final = 8

Headers = Iterable[tuple[bytes, bytes]]


async def read_body(request: Request, *, limit: int, timeout_s: float) -> bytes:
    """The whole body, at most ``limit`` bytes, within ``timeout_s`` seconds.

    Raises:
        Problem: 413 too large, 408 too slow, 400 the client went away.
    """
    stated = request.headers.get("content-length", "")
    # Cut short, as `int` refuses thousands of digits; and "²" is a digit that it does not know.
    if stated[:20].isdecimal() and int(stated[:20]) > limit:
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
        Problem: 400, 408, 413, 415 or 422; see ``read_image_body``, ``image_of``, ``check_image``.
    """
    body = await read_image_body(request, settings)
    content = image_of(request.headers.raw, body, settings)
    check_image(content, max_pixels=settings.max_pixels)
    return content


async def read_image_body(request: Request, settings: ServiceSettings) -> bytes:
    """The whole body, if it is of a type that may hold an image.

    Raises:
        Problem: 415 another type; see ``read_body``.
    """
    _boundary(request.headers.raw)
    return await read_body(
        request, limit=settings.max_body_bytes, timeout_s=settings.body_timeout)


def image_of(headers: Headers, body: bytes, settings: ServiceSettings) -> bytes:
    """The image in a whole body; what it holds is not looked at.

    Raises:
        Problem: 413 too large, 415 another type, 400 not one field `image`.
    """
    boundary = _boundary(headers)
    if len(body) > settings.max_body_bytes:
        raise _too_large(settings.max_body_bytes)
    return body if boundary is None else _image_part(body, boundary)


def _boundary(headers: Headers) -> bytes | None:
    """The boundary of multipart/form-data, None of image/*.

    Raises:
        Problem: 415 another type, or none.
    """
    stated = b""
    for name, value in headers:
        if name == b"content-type":
            stated = value
            break
    if stated.startswith(b"image/"):
        return None
    kind, options = parse_options_header(stated.decode("latin-1"))
    if kind == b"multipart/form-data":
        return options.get(b"boundary", b"")
    if kind.startswith(b"image/"):
        return None
    raise Problem(
        415,
        "unsupported-media-type",
        "send multipart/form-data with a file field `image`, or the image itself as image/*",
        headers={"accept-post": "multipart/form-data, image/*"},
    )


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


def _image_part(body: bytes, boundary: bytes) -> bytes:
    images = image_parts(body, boundary, max_parts=MAX_PARTS)
    if len(images) != 1:
        raise Problem(400, "missing-image", f"the body has {len(images)} fields `image`; send one")
    return bytes(images[0].content)
