"""What a schema can not say: which bytes are an image, a bundle of them, or base64 of one.

Loaded by schemathesis, see `schemathesis.toml`.
"""

from __future__ import annotations

import base64
import io
import zipfile
from typing import Any

import pyarrow as pa
import schemathesis
from hypothesis import strategies as st

from tests.hostile_images import good_images

IMAGES = good_images()


def zipped(images: list[bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for number, image in enumerate(images):
            file.writestr(str(number), image)
    return archive.getvalue()


def arrow(images: list[bytes]) -> bytes:
    table, sink = pa.table({"image": pa.array(images, pa.binary())}), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


image = st.sampled_from(IMAGES)
some = st.lists(image, min_size=1, max_size=3)
schemathesis.openapi.format("binary", image.map(schemathesis.specs.openapi.formats.Binary))
schemathesis.openapi.format("byte", image.map(lambda each: base64.b64encode(each).decode()))
for kind in ("png", "jpeg", "webp", "bmp", "tiff", "gif", "*"):
    schemathesis.openapi.media_type(f"image/{kind}", image)
schemathesis.openapi.media_type("application/zip", some.map(zipped))
schemathesis.openapi.media_type("application/vnd.apache.arrow.stream", some.map(arrow))


@schemathesis.hook
def filter_body(context: schemathesis.HookContext, body: Any) -> bool:
    """A form's list is as many parts, of which there may be eight: that is no property's schema."""
    if context.operation.path not in ("/v1/predict", "/v1/explain") or not isinstance(body, dict):
        return True
    return not any(isinstance(value, list) for value in body.values())
