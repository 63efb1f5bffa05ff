"""A Merkle tree kept in a file, so that the proof of one row costs no other row.

The file has a fixed head, the sorted keys of the rows (32 bytes each), then every level of the tree
from the leaf hashes up (RFC 6962, as ``provenance.merkle``). It is derived: a proof from a damaged
file does not verify, and the file can be made anew.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mlops_assets.provenance.merkle import MembershipProof, leaf_hash, node_hash

MAGIC: Final = b"MERKLE1\n"
HEAD: Final = struct.Struct("<8sQQ")
SIZE: Final = 32


def level_sizes(leaves: int) -> list[int]:
    """Nodes in each level, leaves first; a level's odd last node is the next one's last."""
    sizes = [leaves]
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def tree_bytes(keys: Sequence[bytes], leaves: Iterable[bytes]) -> Iterator[bytes]:
    """Content of the file, in parts; ``leaves`` are rows, of which ``keys`` name the last ones.

    Raises:
        ValueError: keys that are not 32 bytes, not sorted, or more than leaves.
    """
    if any(len(key) != SIZE for key in keys) or list(keys) != sorted(keys):
        raise ValueError("keys must be 32 bytes each, in their order")
    level = [leaf_hash(row) for row in leaves]
    if len(keys) > len(level):
        raise ValueError(f"{len(keys)} keys for {len(level)} leaves")
    yield HEAD.pack(MAGIC, len(keys), len(level))
    yield b"".join(keys)
    while True:
        yield b"".join(level)
        if len(level) <= 1:
            return
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]


class TreeFile:
    """An open tree; use it in a ``with``. Reads a few pages a proof."""

    def __init__(self, path: Path) -> None:
        """Open a tree.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not whole.
        """
        with path.open("rb") as file:
            self._map: Final = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        head = self._map[: HEAD.size]
        magic, self.keys, self.leaves = (
            HEAD.unpack(head) if len(head) == HEAD.size else (b"", 0, 0))
        sizes = level_sizes(self.leaves)
        if magic != MAGIC or len(self._map) != HEAD.size + SIZE * (self.keys + sum(sizes)):
            self._map.close()
            raise ValueError(f"{path} is no whole tree")
        self._starts: Final[list[tuple[int, int]]] = []
        start = HEAD.size + SIZE * self.keys
        for size in sizes:
            self._starts.append((start, size))
            start += SIZE * size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._map.close()

    def find(self, key: bytes) -> int | None:
        """Place among the keys of one of them, or None."""
        low, high = 0, self.keys
        while low < high:
            middle = (low + high) // 2
            if self._at(HEAD.size, middle) < key:
                low = middle + 1
            else:
                high = middle
        return low if low < self.keys and self._at(HEAD.size, low) == key else None

    def prove(self, index: int) -> MembershipProof:
        """Audit path of one leaf.

        Raises:
            IndexError: no such leaf.
        """
        if not 0 <= index < self.leaves:
            raise IndexError(f"leaf {index} is not in a tree of {self.leaves}")
        path, node = [], index
        for start, size in self._starts[:-1]:
            sibling = node ^ 1
            if sibling < size:
                path.append(self._at(start, sibling).hex())
            node >>= 1
        return MembershipProof(index=index, size=self.leaves, path=tuple(path))

    def _at(self, start: int, number: int) -> bytes:
        begin = start + SIZE * number
        return self._map[begin : begin + SIZE]
