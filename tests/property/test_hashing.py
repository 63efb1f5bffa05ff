"""Content hashes: equal content gives equal versions, and any change another."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.provenance.hashing import (
    BESIDE_CONTENT,
    CHUNK_BYTES,
    canonical_json,
    content_files,
    digest_files,
    sha256_bytes,
    sha256_file,
    sha256_json,
    source_sha256,
    tree_version,
)

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.floats(allow_nan=False,
                                                                 allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5})?\.bin", fullmatch=True)
TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=5)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@given(JSON)
def test_canonical_json_gives_the_value_back(value: object) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(TEXT, st.integers(), max_size=6), st.randoms())
def test_canonical_json_does_not_see_the_order_of_keys(value: dict[str, int], random) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(JSON, JSON)
def test_json_hash_is_equal_only_for_equal_values(one: object, other: object) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert (sha256_json(one) == sha256_json(other)) == same


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_canonical_json_refuses_what_json_can_not_hold(value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_file_hash_is_that_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert sha256_bytes(content) == hashlib.sha256(content).hexdigest()


@settings(deadline=None, max_examples=40)
@given(files=TREES, data=st.data())
def test_tree_version_changes_with_any_bit_and_any_name(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    version = tree_version(digest_files(write(tmp_path_factory.mktemp("tree"), files)))
    name = data.draw(st.sampled_from(sorted(files)))
    changed = dict(files)
    if changed[name] and data.draw(st.booleans()):
        bit = data.draw(st.integers(0, 8 * len(changed[name]) - 1))
        content = bytearray(changed[name])
        content[bit // 8] ^= 1 << bit % 8
        changed[name] = bytes(content)
    else:
        changed["renamed/" + name.replace("/", "-")] = changed.pop(name)
    assert tree_version(digest_files(write(tmp_path_factory.mktemp("tree"), changed))) != version


@settings(deadline=None, max_examples=30)
@given(files=TREES)
def test_tree_version_sees_content_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    one, other = (tmp_path_factory.mktemp("tree") for _ in range(2))
    write(one, files)
    write(other, dict(reversed(files.items())))
    write(other, dict.fromkeys(BESIDE_CONTENT, b"beside"))
    assert tree_version(digest_files(one)) == tree_version(digest_files(other))
    assert [path.relative_to(one).as_posix() for path in content_files(one)] == sorted(files)


def test_a_record_in_a_sub_folder_is_content(tmp_path: Path) -> None:
    write(tmp_path, {"provenance.json": b"beside", "inner/provenance.json": b"content"})
    assert list(digest_files(tmp_path)) == ["inner/provenance.json"]


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="link is a symbolic link"):
        content_files(tmp_path)


def test_source_hash_changes_with_code_and_covers_files_and_folders(tmp_path: Path) -> None:
    write(tmp_path, {"package/a.py": b"A = 1", "package/deep/b.py": b"B = 1", "one.py": b"C = 1",
                     "package/notes.txt": b"no code"})
    first = source_sha256(tmp_path, ["package", "one.py"])
    (tmp_path / "package/notes.txt").write_text("still no code")
    assert source_sha256(tmp_path, ["package", "one.py"]) == first
    (tmp_path / "package/deep/b.py").write_text("B = 2")
    assert source_sha256(tmp_path, ["package", "one.py"]) != first
    with pytest.raises(FileNotFoundError, match="no source at"):
        source_sha256(tmp_path, ["absent"])
