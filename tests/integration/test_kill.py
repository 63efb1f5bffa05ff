"""``kill -9`` at every write point of a step leaves the old state or the new."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_assets.lineage.graph import load_graph
from mlops_assets.lineage.verification import verify_home
from mlops_assets.provenance.hashing import BESIDE_CONTENT
from resources.durable import LEFTOVER_SECONDS
from resources.steps import Step
from tests.integration.kill_points import NEW, OLD, OUTPUTS, materialize
from tests.small_store import Home, filler

ROOT = Path(__file__).parents[2]
COMMIT = ("MLOPS_CODE_COMMIT", "c" * 40)


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.name not in BESIDE_CONTENT}


def states_of(home: Home) -> list[str]:
    """Whether each output is old or new; it is one of them to the byte."""
    states = []
    for asset in OUTPUTS:
        ref = home.store.pin(asset)
        home.store.verify(ref)
        content = read(home.store.path(ref))
        assert content in (OLD, NEW)
        states.append("old" if content == OLD else "new")
    return states


def assert_nothing_damaged(home: Home) -> None:
    damages = [str(damage) for each in verify_home(home.store.root.parent, load_graph(home.store))
               for damage in each.damages]
    assert damages == []


@pytest.mark.parametrize("mode", ["kill", "torn"])
def test_a_kill_at_any_write_point_leaves_old_or_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv(*COMMIT)
    materialize(Home(tmp_path / "base"), OLD)
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.kill_points", str(tmp_path), mode],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )
    points = [json.loads(line) for line in done.stdout.splitlines()]
    assert points[-1]["what"] == "survived" and points[-1]["code"] == 0, done.stderr
    assert {point["what"] for point in points} - {"survived"} == (
        {"fsync"} if mode == "torn" else
        {"open", "fsync", "after fsync", "os.rename", "os.mkdir", "os.remove", "os.rmdir"})
    assert len(points) > (20 if mode == "torn" else 80)
    seen = set()
    for point in points:
        home = Home(tmp_path / f"{mode}-{point['n']}")
        seen.add(tuple(states_of(home)))
        assert_nothing_damaged(home)
        materialize(home, NEW)
        assert states_of(home) == ["new", "new"]
        assert list((home.store.root / ".tmp").glob("[!.]*")) == []
        shutil.rmtree(home.folder)
    assert seen == {("old", "old"), ("new", "old"), ("new", "new")}


def test_halves_of_small_files_are_swept_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*COMMIT)
    home = Home(tmp_path)
    materialize(home, OLD)
    past = time.time() - LEFTOVER_SECONDS - 60
    left = [home.store.root / name for name in (
        "left/refs/._.json.123-0a1b2c3d", "right/records/.x.json.7-0a1b2c3d",
        ".steps/.k.9-0a1b2c3d")]
    for path in left:
        path.write_bytes(b"{")
        os.utime(path, (past, past))
    home.run(Step("raw", ("left",), seed=1), filler("left", NEW))
    assert not any(path.exists() for path in left)
