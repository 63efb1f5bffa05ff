"""Many images in one body: multipart/form-data, a ZIP archive or an Arrow stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from bentos.arrow_stream import MEDIA_TYPE as ARROW
from bentos.arrow_stream import read_arrow
from bentos.collected import Collected, Limits
from bentos.multipart import image_parts
from bentos.problems import Problem
from bentos.settings import ServiceSettings
from bentos.uploads import read_body
from bentos.zips import read_zip

ACCEPTED: Final = f"multipart/form-data, application/zip, {ARROW}"
# Parts that are no image, such as a form's other fields.
OTHER_PARTS: Final = 8


async def read_bundle(request: Request, settings: ServiceSettings) -> list[tuple[str, bytes]]:
    """Name and bytes of each image in the body, in its order; no image is looked at.

    Raises:
        Problem: 408 too slow, and what ``parse_bundle`` raises.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    read = _reader(kind, options.get(b"boundary", b""))
    body = await read_body(
        request, limit=settings.max_bundle_bytes, timeout_s=settings.body_timeout
    )
    limits = Limits(images=settings.max_bundle_images, total_bytes=settings.max_bundle_bytes,
                    image_bytes=settings.max_body_bytes)
    return await asyncio.to_thread(_parse, read, body, limits)


def parse_bundle(content_type: str, body: bytes, limits: Limits) -> list[tuple[str, bytes]]:
    """Name and bytes of each image in a body of this content type.

    Names are what the sender wrote: a file name, a path in an archive, a value of the column
    ``name``; see ``Collected``. They are never used as paths.

    Raises:
        Problem: 400 malformed or without an image, 413 beyond ``limits``, 415 another type, 422
            an archive or stream that is not taken (see ``read_zip`` and ``read_arrow``).
    """
    kind, options = parse_options_header(content_type)
    return _parse(_reader(kind, options.get(b"boundary", b"")), body, limits)


Reader = Callable[[bytes, Collected], None]


def _parse(read: Reader, body: bytes, limits: Limits) -> list[tuple[str, bytes]]:
    found = Collected(limits)
    read(body, found)
    if not found.images:
        raise Problem(400, "missing-image", "the body holds no image")
    return found.images


def _reader(kind: bytes, boundary: bytes) -> Reader:
    if kind == b"multipart/form-data":
        return partial(_read_multipart, boundary)
    if kind in (b"application/zip", b"application/x-zip-compressed"):
        return read_zip
    if kind == ARROW.encode():
        return read_arrow
    raise Problem(415, "unsupported-media-type", f"send one of {ACCEPTED}",
                  headers={"accept-post": ACCEPTED})


def _read_multipart(boundary: bytes, body: bytes, into: Collected) -> None:
    parts = image_parts(body, boundary, max_parts=into.limits.images + OTHER_PARTS)
    for part in parts:
        into.add(part.filename, len(part.content), partial(bytes, part.content))
