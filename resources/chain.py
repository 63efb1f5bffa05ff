"""Hash chains of append-only files: a record that is changed, taken out or moved shows.

Each line is a JSON object whose last member, ``previous``, is the SHA-256 of the line before it
(without its newline), and in the first line that of the file's name. A small file beside it,
``.head``, says how many lines there were and the hash of the last, so that an end that was cut off
shows too. It is written after the lines: a killed process may leave it some lines behind, which
were never acknowledged. After Haber & Stornetta 1991, *How to Time-Stamp a Digital Document*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

HEAD_SUFFIX: Final = ".head"
_MEMBER: Final = b'%b,"previous":"%b"}'
_MARK: Final = b',"previous":"'
_TAIL: Final = len(b',"previous":""}') + 64
_HEAD: Final = b"%020d %b\n"


class Chain:
    """Links the lines of one file, in the order in which they are written."""

    __slots__ = ("_last", "lines")

    def __init__(self, name: str) -> None:
        self.lines = 0
        self._last = begin(name)

    def link(self, lines: Iterable[bytes]) -> bytes:
        """JSON objects, each without a newline at its end, as chained lines with newlines."""
        last, count = self._last, self.lines
        linked = []
        for line in lines:
            whole = _MEMBER % (line[:-1], last)
            last = _digest(whole)
            count += 1
            linked += [whole, b"\n"]
        self._last, self.lines = last, count
        return b"".join(linked)

    @property
    def head(self) -> bytes:
        """Content of the file that tells the chain's end; its length never changes."""
        return _HEAD % (self.lines, self._last)


def begin(name: str) -> bytes:
    """What the first line of a file of this name follows."""
    return _digest(name.encode())


def unlink(line: bytes) -> bytes:
    """The JSON object that was chained; one that was not stays as it is."""
    if line[-_TAIL:].startswith(_MARK):
        return line[:-_TAIL] + b"}"
    return line


def line_sha256(line: bytes) -> str:
    """The hash of a line, as the next line names it."""
    return _digest(line).decode()


def breaks(path: Path) -> Iterator[str]:
    """What is wrong with a file's chain, in words; nothing when it is whole.

    An unfinished last line was never acknowledged and is left out.
    """
    wanted, digest = _read_head(path.with_suffix(HEAD_SUFFIX))
    if not path.is_file():
        if wanted:
            yield f"is missing, but had {wanted} lines"
        return
    *lines, _unfinished = path.read_bytes().split(b"\n")
    if wanted is None:
        yield "has no readable .head beside it"
    last = begin(path.name)
    found = [last]
    for number, line in enumerate(lines, start=1):
        if line[-_TAIL:] != _MEMBER % (b"", last):
            yield f"line {number} does not follow the one before it"
        last = _digest(line)
        found.append(last)
    if wanted is None:
        return
    if len(lines) < wanted:
        yield f"ends after {len(lines)} lines, but had {wanted}"
    elif found[wanted] != digest:
        yield f"line {wanted} is not the one that its .head names"


def _read_head(path: Path) -> tuple[int | None, bytes]:
    """Number of lines, None where it can not be read, and the hash of the last."""
    try:
        told = path.read_bytes()
        number, digest = int(told[:20]), told[21:85]
    except (FileNotFoundError, ValueError):
        return None, b""
    return (number, digest) if told == _HEAD % (number, digest) else (None, b"")


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
