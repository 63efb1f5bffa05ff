"""Merkle trees over rows, by RFC 6962 section 2.1 (leaf and node hashes are domain separated)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class MembershipProof:
    """Audit path of one leaf: sibling hashes (hex) from the leaf's level to the root's."""

    index: int
    size: int
    path: tuple[str, ...]


def leaf_hash(row: bytes) -> bytes:
    """32-byte hash of one row."""
    return hashlib.sha256(b"\x00" + row).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """32-byte hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Largest power of two smaller than ``size`` (``size`` > 1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _root(leaves: Sequence[bytes]) -> bytes:
    """Root over leaf hashes, level by level; a level's odd last node moves up unchanged."""
    level = list(leaves)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def merkle_root(rows: Iterable[bytes]) -> str:
    """Hex root over ``rows`` in their order; the empty sequence has the hash of no bytes.

    Rows are read once; what is kept grows with the logarithm of their number.
    """
    # Roots of whole subtrees, the largest first, as the ones of a binary counter of the rows.
    whole: list[tuple[int, bytes]] = []
    for row in rows:
        height, digest = 0, leaf_hash(row)
        while whole and whole[-1][0] == height:
            height, digest = height + 1, node_hash(whole.pop()[1], digest)
        whole.append((height, digest))
    if not whole:
        return EMPTY_ROOT.hex()
    root = whole.pop()[1]
    while whole:
        root = node_hash(whole.pop()[1], root)
    return root.hex()


def prove(rows: Sequence[bytes], index: int) -> MembershipProof:
    """Audit path of ``rows[index]``.

    Raises:
        IndexError: no such row.
    """
    if not 0 <= index < len(rows):
        raise IndexError(f"row {index} is not in a tree of {len(rows)} rows")
    leaves = [leaf_hash(row) for row in rows]
    path: list[str] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_root(leaves[middle:high]).hex())
            high = middle
        else:
            path.append(_root(leaves[low:middle]).hex())
            low = middle
    return MembershipProof(index=index, size=len(rows), path=tuple(reversed(path)))


def verify(row: bytes, proof: MembershipProof, root: str) -> bool:
    """Whether ``row`` stands at ``proof.index`` of the tree with this hex ``root``.

    The walk is RFC 9162 section 2.1.3.2.
    """
    if not 0 <= proof.index < proof.size:
        return False
    node, last, digest = proof.index, proof.size - 1, leaf_hash(row)
    for sibling_hex in proof.path:
        if last == 0:
            return False
        sibling = bytes.fromhex(sibling_hex)
        if node % 2 or node == last:
            digest = node_hash(sibling, digest)
            while node % 2 == 0 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and digest.hex() == root
