"""The images in an Arrow IPC stream: a binary column ``image``, and perhaps ``name``.

pyarrow is not part of a service container; where it is missing, this format is refused.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from bentos.collected import Collected
from bentos.problems import Problem

MEDIA_TYPE: Final = "application/vnd.apache.arrow.stream"
_RECORD_BATCH: Final = 3


def read_arrow(body: bytes, into: Collected) -> None:
    """Add every row of a stream; a name that is missing or null is the row's place.

    Raises:
        Problem: 400 malformed; 413 too many images or bytes; 415 no pyarrow; 422 other columns,
            a null image, or compressed buffers (send them plain: images are compressed already).
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise Problem(415, "unsupported-media-type", "this service has no pyarrow and reads no "
                      "Arrow streams; send a ZIP or multipart/form-data, or install pyarrow beside "
                      "the service") from error
    try:
        _check_messages(pa, body)
        with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
            columns = _columns(pa, stream.schema)
            for batch in stream:
                # Offsets of a stranger's stream may point anywhere.
                batch.validate(full=True)
                _add_batch(batch, columns, into)
    except (pa.ArrowException, struct.error, IndexError, ValueError, OSError) as error:
        raise Problem(400, "malformed-arrow", f"the Arrow stream can not be read: "
                                              f"{str(error).splitlines()[0][:200]}") from error


def _add_batch(batch: Any, columns: tuple[int, int | None], into: Collected) -> None:
    image, name = columns
    if len(into.images) + batch.num_rows > into.limits.images:
        raise Problem(413, "too-many-images",
                      f"there are more than {into.limits.images} images; send several requests")
    images = batch.column(image)
    names = None if name is None else batch.column(name)
    for row in range(batch.num_rows):
        content = images[row].as_buffer()
        if content is None:
            raise Problem(422, "null-image", f"row {len(into.images)} has no image")
        given = None if names is None else names[row].as_py()
        into.add(given or "", content.size, content.to_pybytes)


def _columns(pa: Any, schema: Any) -> tuple[int, int | None]:
    """Places of ``image`` and ``name``."""
    images, names = schema.get_all_field_indices("image"), schema.get_all_field_indices("name")
    binary, text = (pa.binary(), pa.large_binary()), (pa.string(), pa.large_string())
    if len(images) != 1 or schema.field(images[0]).type not in binary:
        raise Problem(422, "invalid-columns", "the stream needs one binary column `image`")
    if len(names) > 1 or (names and schema.field(names[0]).type not in text):
        raise Problem(422, "invalid-columns", "the column `name` must be text, and only one")
    return images[0], names[0] if names else None


def _check_messages(pa: Any, body: bytes) -> None:
    """Refuse compressed buffers, which could unpack to any size, before anything is unpacked.

    pyarrow reads a stream as it is; what a message holds is in its header, a FlatBuffers table:
    https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message
    """
    reader = pa.ipc.MessageReader.open_stream(pa.py_buffer(body))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        header = message.metadata.to_pybytes()
        (root,) = struct.unpack_from("<I", header)
        kind = _field(header, root, 1)
        if kind is None or header[kind] != _RECORD_BATCH:
            continue
        batch = _field(header, root, 2)
        if batch is not None and _field(header, _follow(header, batch), 3) is not None:
            raise Problem(422, "compressed-arrow", "the stream's buffers are compressed; write it "
                                                   "without compression")


def _field(header: bytes, table: int, number: int) -> int | None:
    """Position of one field of a FlatBuffers table, None where it is absent."""
    (back,) = struct.unpack_from("<i", header, table)
    index = table - back
    (size,) = struct.unpack_from("<H", header, index)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", header, index + 4 + 2 * number)
    return table + offset if offset else None


def _follow(header: bytes, position: int) -> int:
    (offset,) = struct.unpack_from("<I", header, position)
    return int(position + offset)
