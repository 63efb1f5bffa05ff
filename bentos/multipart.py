"""The ``image`` fields of a multipart/form-data body (RFC 7578)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from bentos.problems import Problem

IMAGE_FIELD: Final = b"image"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the ``image`` field; ``filename`` is as its sender wrote it, or empty."""

    filename: str
    content: bytearray


def image_parts(body: bytes, boundary: bytes, *, max_parts: int) -> list[Part]:
    """Every part named ``image``, in order; the bytes of other parts are not kept.

    Raises:
        Problem: 400 no boundary, a malformed or cut off body, or more than ``max_parts`` parts.
    """
    if not boundary:
        raise Problem(400, "malformed-multipart", "the content type names no boundary")
    found = _Parts(max_parts)
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
    return found.images


@dataclass(slots=True)
class _Parts:
    """Collects the parts of a multipart body; only the ``image`` field's bytes are kept."""

    max_parts: int
    images: list[Part] = field(default_factory=list)
    parts: int = 0
    ended: bool = False
    _name: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _into: bytearray | None = None

    def begin(self) -> None:
        self.parts += 1
        if self.parts > self.max_parts:
            raise Problem(
                400, "malformed-multipart", f"the body has more than {self.max_parts} parts"
            )
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
                filename = options.get(b"filename", b"").decode(errors="replace")
                self.images.append(Part(filename, self._into))
        self._name.clear()
        self._value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            self._into += data[start:end]

    def end(self) -> None:
        self.ended = True
