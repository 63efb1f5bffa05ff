"""Images of requests: kept by the policy alone, whole, within their limits."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bentos.images import DAY, WAITING_BYTES, KeptImages, sweep
from bentos.settings import ServiceSettings
from mlops_assets.provenance.hashing import sha256_bytes

NEVER = {"keep_share": 0.0, "keep_below": 0.0}


def keep(folder: Path, contents: list[bytes], **settings: float | bool) -> list[bool]:
    images = KeptImages(folder, ServiceSettings.model_validate(NEVER | settings))
    told = [images.offer(each, sha256_bytes(each), confidence=0.5, novelty=2.0, shadow=False)
            for each in contents]
    images.close()
    return told


def stored(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.glob("??/*")}


@pytest.mark.parametrize(("settings", "kept"), [
    ({"keep_novel": False}, False),
    ({"keep_novel": True}, True),
    ({"keep_novel": False, "keep_below": 0.6}, True),
    ({"keep_novel": False, "keep_share": 1.0}, True),
    ({"keep_images": False, "keep_share": 1.0, "keep_below": 1.0}, False),
])
def test_the_policy_decides(tmp_path: Path, settings: dict[str, float], kept: bool) -> None:
    assert keep(tmp_path, [b"image"], **settings) == [kept]
    assert stored(tmp_path) == ({b"image"} if kept else set())


def test_a_share_is_kept_at_random(tmp_path: Path) -> None:
    contents = [b"%d" % number for number in range(400)]
    told = keep(tmp_path, contents, keep_novel=False, keep_share=0.25)
    assert 60 < sum(told) < 140
    assert stored(tmp_path) == {each for each, kept in zip(contents, told, strict=True) if kept}


def test_files_are_named_by_their_bytes(tmp_path: Path) -> None:
    keep(tmp_path, [b"one", b"one", b"two"])
    for path in tmp_path.glob("??/*"):
        assert path.name == sha256_bytes(path.read_bytes())
        assert path.parent.name == path.name[:2]
    assert stored(tmp_path) == {b"one", b"two"}


def test_what_a_slow_disk_can_not_take_is_left_out(tmp_path: Path) -> None:
    assert keep(tmp_path, [b"x" * (WAITING_BYTES + 1)]) == [False]


def test_a_disk_that_can_not_be_written_costs_the_image_alone(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    folder.write_text("a file where the folder should be")
    keep(folder, [b"image"])


def test_sweep_removes_the_old_and_then_the_oldest(tmp_path: Path) -> None:
    keep(tmp_path, [b"%03d" % number for number in range(10)])
    now = time.time()
    paths = sorted(tmp_path.glob("??/*"), key=lambda path: path.read_bytes())
    for age, path in enumerate(paths):
        os.utime(path, (now - age * DAY, now - age * DAY))
    assert sweep(tmp_path, max_days=7.5, max_bytes=10_000) == 2
    assert sweep(tmp_path, max_days=7.5, max_bytes=9) == 5
    assert stored(tmp_path) == {b"000", b"001", b"002"}
