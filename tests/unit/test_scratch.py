"""Scratch folders and halves of files: swept after a kill, never under a living process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resources.durable import (
    LEFTOVER_SECONDS,
    LOCK_FILE,
    lock_folder,
    remove_leftovers,
    write_bytes,
)
from tests.small_store import Home


@pytest.fixture
def small_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    return Home(tmp_path)


def test_scratch_is_gone_afterwards_also_after_an_error(small_home: Home) -> None:
    with pytest.raises(KeyError), small_home.store.scratch() as folder:
        (folder / "half").write_bytes(b"half")
        raise KeyError
    assert [path.name for path in (small_home.store.root / ".tmp").iterdir()] == [LOCK_FILE]


def test_scratch_of_a_killed_process_is_swept_and_a_living_one_s_is_left(small_home: Home) -> None:
    script = ("import sys, time; from pathlib import Path; from resources.store import *\n"
              "with ArtifactStore(Path(sys.argv[1])).scratch() as folder:\n"
              "    print(folder, flush=True); time.sleep(60)")
    command = [sys.executable, "-c", script, str(small_home.store.root)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with small_home.store.scratch() as mine:
            assert theirs.is_dir()
            assert lock_folder(mine, wait=False) is None
        other.kill()
    assert theirs.is_dir()
    with small_home.store.scratch():
        assert not theirs.exists()


def test_leftovers_of_killed_writers_are_removed_when_old(tmp_path: Path) -> None:
    folder = tmp_path / "refs"
    write_bytes(folder / "kept.json", b"kept")
    young, old = folder / ".kept.json.1-0a0a0a0a", folder / ".kept.json.1-0b0b0b0b"
    for path in (young, old):
        path.write_bytes(b"ha")
    past = time.time() - LEFTOVER_SECONDS - 60
    os.utime(old, (past, past))
    remove_leftovers(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([young.name, "kept.json"])
