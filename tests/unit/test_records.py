"""Provenance records: what was written comes back, and any damage is seen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.provenance.hashing import RECORD_FILE, sha256_json
from mlops_assets.provenance.record import DamagedRecord, InputRef, ProvenanceRecord, read_record

CONFIG = {"rate": 0.004, "name": "a\nb", "huge": 1.5e300, "list": [1, None, True], "é": "ü"}
RECORD = ProvenanceRecord.model_validate({
    "asset": "dataset", "partition": "initial", "version": "a" * 64, "rule": "tree-v1",
    "files": {"rows.parquet": "b" * 64, "deep/classes.json": "c" * 64},
    "summary_sha256": "d" * 64,
    "inputs": [InputRef(asset="raw_images", partition="initial", version="e" * 64)],
    "step_key": "f" * 64, "code_commit": "0" * 40, "code_dirty": True, "source_sha256": "1" * 64,
    "lock_sha256": "2" * 64, "config": CONFIG, "config_sha256": sha256_json(CONFIG), "seed": 3,
    "hardware": {"machine": "x86_64", "threads": 2}, "dagster_run_id": "run",
    "created_at": "2026-11-23T12:00:00.123456Z",
})
CONTENT = RECORD.to_bytes()
KEYS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


def test_record_comes_back() -> None:
    assert ProvenanceRecord.from_bytes(CONTENT) == RECORD
    assert RECORD.sha256.encode() in CONTENT


@settings(deadline=None)
@given(st.dictionaries(KEYS, st.integers() | KEYS | st.floats(allow_nan=False,
                                                              allow_infinity=False)))
def test_record_comes_back_with_any_config(config: dict[str, object]) -> None:
    record = RECORD.model_copy(update={"config": config})
    assert ProvenanceRecord.from_bytes(record.to_bytes()) == record


def test_any_flipped_bit_is_damage() -> None:
    random_bits = random.Random(0)
    for position in range(len(CONTENT)):
        for bit in random_bits.sample(range(8), 3):
            damaged = bytearray(CONTENT)
            damaged[position] ^= 1 << bit
            with pytest.raises(DamagedRecord):
                ProvenanceRecord.from_bytes(bytes(damaged))


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_any_other_byte_is_damage(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    with pytest.raises(DamagedRecord):
        ProvenanceRecord.from_bytes(bytes(damaged))


@given(st.integers(0, len(CONTENT) - 1))
def test_a_torn_record_is_damage(length: int) -> None:
    with pytest.raises(DamagedRecord):
        ProvenanceRecord.from_bytes(CONTENT[:length])


@pytest.mark.parametrize("content", [
    b"", b"[]", b"null", b"{}", b'"record_sha256"', b"\xff\xfe", CONTENT + b"\n",
    CONTENT.replace(b'"seed":3', b'"seed": 3'),
    CONTENT.replace(b'"huge":1.5e+300', b'"huge":1.5e+900'),
    CONTENT.replace(b'"a\\nb"', b'"a\\ud800"'),
], ids=range(10))
def test_what_is_no_record_is_one_line(content: bytes) -> None:
    with pytest.raises(DamagedRecord) as caught:
        ProvenanceRecord.from_bytes(content)
    assert "\n" not in str(caught.value)


def test_reading_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DamagedRecord, match=r"provenance\.json is missing"):
        read_record(tmp_path)
    (tmp_path / RECORD_FILE).write_bytes(CONTENT[:-2])
    with pytest.raises(DamagedRecord, match=r"provenance\.json: not a provenance record"):
        read_record(tmp_path)
    (tmp_path / RECORD_FILE).write_bytes(CONTENT)
    assert read_record(tmp_path) == RECORD
