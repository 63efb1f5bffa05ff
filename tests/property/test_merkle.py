"""Merkle trees by RFC 6962: known roots, and proofs that prove nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.provenance.merkle import (
    MembershipProof,
    leaf_hash,
    merkle_root,
    node_hash,
    prove,
    verify,
)
from mlops_assets.provenance.tree_file import TreeFile, tree_bytes

# The leaves and roots of the reference implementation (certificate-transparency, merkle_tree_test).
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# Rows are distinct, as those of a dataset are: the same row elsewhere is rightly in the tree.
ROWS = st.lists(st.binary(max_size=8), min_size=1, max_size=70, unique=True)


def flip(text: str, bit: int) -> str:
    content = bytearray.fromhex(text)
    content[bit // 8] ^= 1 << bit % 8
    return content.hex()


@pytest.mark.parametrize("size", range(9))
def test_root_is_that_of_the_reference_implementation(size: int) -> None:
    assert merkle_root(LEAVES[:size]) == ROOTS[size]


def test_proof_is_that_of_the_reference_implementation() -> None:
    assert prove(LEAVES, 0).path == (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    )
    assert prove(LEAVES[:3], 2).path == (ROOTS[2],)


def test_leaves_and_nodes_are_told_apart() -> None:
    left, right = leaf_hash(b"left"), leaf_hash(b"right")
    assert leaf_hash(left + right) != node_hash(left, right)
    assert merkle_root([left + right]) != merkle_root([b"left", b"right"])


@settings(deadline=None)
@given(ROWS)
def test_every_row_is_proven(rows: list[bytes]) -> None:
    root = merkle_root(rows)
    for index, row in enumerate(rows):
        proof = prove(rows, index)
        assert verify(row, proof, root)
        assert len(proof.path) <= (len(rows) - 1).bit_length()


@given(ROWS, st.data())
def test_a_changed_bit_of_row_root_or_path_fails(rows: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    proof, root, bit = prove(rows, index), merkle_root(rows), data.draw(st.integers(0, 255))
    assert not verify(rows[index] + b"\0", proof, root)
    assert not verify(rows[index], proof, flip(root, bit))
    for level, sibling in enumerate(proof.path):
        path = (*proof.path[:level], flip(sibling, bit), *proof.path[level + 1 :])
        assert not verify(rows[index], replace(proof, path=path), root)


@given(ROWS, st.data())
def test_another_index_fails(rows: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    proof, root = prove(rows, index), merkle_root(rows)
    for other in {*range(-1, len(rows) + 2)} - {index}:
        assert not verify(rows[index], replace(proof, index=other), root)


@given(ROWS, st.data())
def test_a_path_of_another_length_fails(rows: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    proof, root = prove(rows, index), merkle_root(rows)
    assert not verify(rows[index], replace(proof, path=(*proof.path, root)), root)
    if proof.path:
        assert not verify(rows[index], replace(proof, path=proof.path[1:]), root)
        assert not verify(rows[index], replace(proof, path=proof.path[:-1]), root)


@given(ROWS, st.integers(0, 200), st.data())
def test_another_size_fails_unless_its_path_has_the_same_shape(
    rows: list[bytes], size: int, data: st.DataObject
) -> None:
    """RFC 6962: a root does not bind the size, which a receipt therefore takes from the dataset."""
    index = data.draw(st.integers(0, len(rows) - 1))
    proof, root = prove(rows, index), merkle_root(rows)
    passes = verify(rows[index], replace(proof, size=size), root)
    if size != len(rows) and passes:
        assert shape(index, size) == shape(index, len(rows))


def shape(index: int, size: int) -> list[bool]:
    """For each sibling of a path, from the leaf up, whether it stands on the left."""
    sides, last = [], size - 1
    while last:
        if index % 2 or index < last:
            sides.append(index % 2 == 1)
        index, last = index // 2, last // 2
    return sides


@given(ROWS, st.data())
def test_any_change_of_the_rows_changes_the_root(rows: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(rows) - 1))
    root = merkle_root(rows)
    assert merkle_root([*rows[:index], rows[index] + b"\0", *rows[index + 1 :]]) != root
    assert merkle_root([*rows[:index], *rows[index + 1 :]]) != root
    assert merkle_root([*rows, rows[index]]) != root
    if len(rows) > 1:
        assert merkle_root([*rows[1:], rows[0]]) != root


def test_a_row_outside_the_tree_has_no_proof() -> None:
    for index in (-1, 2):
        with pytest.raises(IndexError, match="not in a tree of 2 rows"):
            prove([b"a", b"b"], index)
    assert not verify(b"a", MembershipProof(index=0, size=0, path=()), merkle_root([]))


@given(rows=ROWS, data=st.data())
@settings(max_examples=60)
def test_a_tree_in_a_file_proves_as_one_in_memory(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], data: st.DataObject
) -> None:
    keys = sorted(data.draw(st.lists(
        st.binary(min_size=32, max_size=32), max_size=len(rows), unique=True)))
    path = tmp_path_factory.mktemp("tree") / "rows.tree"
    path.write_bytes(b"".join(tree_bytes(keys, rows)))
    with TreeFile(path) as tree:
        for index in range(len(rows)):
            assert tree.prove(index) == prove(rows, index)
        assert [tree.find(key) for key in keys] == list(range(len(keys)))
        other = data.draw(st.binary(min_size=32, max_size=32))
        assert tree.find(other) == (keys.index(other) if other in keys else None)
        for outside in (-1, len(rows)):
            with pytest.raises(IndexError):
                tree.prove(outside)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match="no whole tree"):
        TreeFile(path)


def test_keys_of_a_tree_are_checked() -> None:
    for keys in ([b"short"], [b"b" * 32, b"a" * 32], [b"a" * 32, b"b" * 32, b"c" * 32]):
        with pytest.raises(ValueError, match="keys"):
            list(tree_bytes(keys, [b"one", b"two"]))
