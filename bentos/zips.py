"""The images in a ZIP archive that nobody vouches for. Nothing is written to a disk.

Sizes are checked as declared and hold while inflating: the reader stops at the declared size, and
an entry that holds more or less fails its checksum.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from functools import partial
from typing import Final

from bentos.collected import MAX_NAME, Collected, show
from bentos.problems import Problem

_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# An entry of the directory: its fixed part, the longest name, and room for extra fields.
_ENTRY_BYTES: Final = 46 + MAX_NAME + 256


def read_zip(body: bytes, into: Collected) -> None:
    """Add every file of an archive, in the order of its directory; folders only give names.

    What macOS adds (``__MACOSX/``, ``.DS_Store``) is left out.

    Raises:
        Problem: 400 malformed; 413 too many entries or bytes; 422 encrypted, links, or a
            compression other than deflate.
    """
    _check_directory(body, into.limits.images)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith("/") and not _is_litter(entry.filename):
                    _check_entry(entry)
                    into.add(entry.filename, entry.file_size, partial(_inflate, archive, entry))
    except (
        zipfile.BadZipFile, zlib.error, struct.error, EOFError, UnicodeDecodeError, ValueError,
        NotImplementedError,
    ) as error:
        raise Problem(400, "malformed-zip", f"the archive can not be read: {error}") from error


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        # Without a size, zipfile inflates all there is before it cuts off what was not declared.
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise zipfile.BadZipFile(f"`{show(entry.filename)}` ends early")
    return content


def _check_directory(body: bytes, images: int) -> None:
    """Refuse a directory that would cost more to read than its images could be worth."""
    last = body[-_END_BYTES:]
    if last.startswith(_END) and last.endswith(b"\0\0"):
        at = len(body) - _END_BYTES
    else:
        at = body.rfind(_END, max(0, len(body) - _END_BYTES - (1 << 16)))
    if at < 0 or len(body) - at < _END_BYTES:
        raise Problem(400, "malformed-zip", "the body is no ZIP archive, or is cut off")
    if body[max(0, at - 20) : at].startswith(_ZIP64_LOCATOR):
        raise Problem(422, "zip64", "the archive is in the ZIP64 format; send a plain ZIP")
    (size,) = struct.unpack_from("<I", body, at + 12)
    if size > 2 * images * _ENTRY_BYTES:
        raise Problem(413, "too-many-images", f"the archive's directory has {size} bytes, too many "
                                              f"for {images} images")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = show(entry.filename)
    if entry.flag_bits & _ENCRYPTED:
        raise Problem(422, "encrypted-zip", f"`{name}` is encrypted; send it in the clear")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Problem(422, "zip-link", f"`{name}` is a link or a device, not a file")
    if entry.compress_type not in _METHODS:
        raise Problem(422, "zip-compression", f"`{name}` is compressed by method "
                                              f"{entry.compress_type}; use deflate or none")


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] == ".DS_Store"
