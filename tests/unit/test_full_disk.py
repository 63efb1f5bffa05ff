"""A full disk is one line, and what was there stays whole."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from resources.steps import Step, StorageFull, Workspace, run_step
from tests.small_store import Home

FILES = {"a.bin": b"first", "b.bin": b"second"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def small_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_CODE_COMMIT", "c" * 40)
    return Home(tmp_path)


def test_a_full_device_is_one_line_and_keeps_the_old_state(small_home: Home) -> None:
    before = small_home.source("images", FILES)

    def write_to_full(work: Workspace) -> None:
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"no room")

    with pytest.raises(StorageFull, match=r"no room in .* for `images` .*MiB free") as caught:
        small_home.run(Step("raw", ("images",), seed=1), write_to_full)
    assert "\n" not in str(caught.value)
    assert small_home.store.pin("images") == before


def fill_the_disk(folder: Path) -> None:
    """Runs below in a mount of 1 MiB: writes by three libraries, then by the store itself."""
    os.environ["MLOPS_CODE_COMMIT"] = "c" * 40
    home = Home(folder)
    before = home.source("images", FILES)
    big = np.random.default_rng(0).integers(0, 256, 2 << 20, dtype=np.uint8)

    def by_numpy(work: Workspace) -> None:
        np.save(work.out("images") / "big.npy", big)

    def by_arrow(work: Workspace) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"x": big}), work.out("images") / "big.parquet")

    def by_python(work: Workspace) -> None:
        (work.out("images") / "big.bin").write_bytes(big.tobytes())

    def by_the_store(work: Workspace) -> None:
        small = work.out("images") / "a.bin"
        small.write_bytes(b"new")
        with suppress(OSError):
            (home.folder / "ballast").write_bytes(bytes(2 << 20))

    for seed, build in enumerate((by_numpy, by_arrow, by_python, by_the_store), start=1):
        with pytest.raises(StorageFull, match="no room in") as caught:
            run_step(home.store, Step("raw", ("images",), seed=seed), build,
                     project_root=home.project, run_id="run")
        assert "\n" not in str(caught.value)
        assert home.store.pin("images") == before
        home.store.verify(before)
        assert list((home.store.root / ".tmp").glob("[!.]*")) == []
        (home.folder / "ballast").unlink(missing_ok=True)
    changed = home.source("images", {"a.bin": b"there is room again"})
    assert home.store.pin("images") == changed


def test_a_full_file_system_keeps_the_old_state_and_then_works_again(tmp_path: Path) -> None:
    """A real file system of 1 MiB, mounted for one child process alone."""
    script = f"mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec {sys.executable} -c " \
             f"'from tests.unit.test_full_disk import *; fill_the_disk(Path(\"{tmp_path}\"))'"
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *as_root, "--mount", "sh", "-c", script]
    allowed = subprocess.run([*command[:-1], f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"],
                             capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip(f"no private mounts here: {allowed.stderr.decode().strip()}")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
