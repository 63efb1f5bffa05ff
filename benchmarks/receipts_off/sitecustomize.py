"""On the path of a service whose journal is not chained: what the chain costs is the difference."""

from collections.abc import Iterable

from resources.chain import Chain


def plain(self: Chain, lines: Iterable[bytes]) -> bytes:
    """Lines as they are."""
    del self
    return b"".join(line + b"\n" for line in lines)


Chain.link = plain  # type: ignore[method-assign]
