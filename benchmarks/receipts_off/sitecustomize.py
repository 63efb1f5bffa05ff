"""On the path of a service whose journal is not chained: what the chain costs is the difference."""

import os
from collections.abc import Iterable
from types import SimpleNamespace

from resources import journal
from resources.chain import Chain


def plain(self: Chain, lines: Iterable[bytes]) -> bytes:
    """Lines as they are."""
    del self
    return b"".join(line + b"\n" for line in lines)


Chain.link = plain  # type: ignore[method-assign]
# What tells the chain's end is all that the journal writes in place.
journal.os = SimpleNamespace(  # type: ignore[assignment]
    **{**vars(os), "pwrite": lambda _handle, content, _offset: len(content)})
