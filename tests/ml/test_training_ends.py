"""A training ends with what started it, and when it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
import pytest

from mlops_assets.config import TrainingSettings
from tests.shards import write_shards

pytestmark = pytest.mark.slow
BEGINS_SECONDS, ENDS_SECONDS = 120, 10
ENDLESS: Final = TrainingSettings(
    model="test_byobnet", epochs=100_000, batch_size=32, learning_rate=0.01, flip=False, shift=1,
    device="cpu", threads=1)
# A run of Dagster stands between: it starts the training and waits for it.
STARTER: Final = """
import os, subprocess, sys
sys.exit(subprocess.run([sys.executable, "-m", "mlops_assets.models.train_process", sys.argv[1],
                         "--parent", str(os.getpid())]).returncode)
"""


@contextmanager
def begun(folder: Path) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """What started a training, and the training, which has begun; both end with the block."""
    progress = folder / "progress.jsonl"
    job, out = folder / "job.json", folder / "out"
    out.mkdir()
    job.write_text(json.dumps({
        "settings": ENDLESS.model_dump(mode="json"), "out": str(out), "start": None,
        "shards": str(write_shards(folder / "shards")), "checkpoints": str(folder / "checkpoints"),
        "progress": str(progress)}))
    with subprocess.Popen([sys.executable, "-c", STARTER, str(job)], stderr=subprocess.PIPE,
                          text=True) as starter:
        children: list[psutil.Process] = []
        try:
            end = time.monotonic() + BEGINS_SECONDS
            while not progress.is_file():
                assert time.monotonic() < end and starter.poll() is None
                time.sleep(0.1)
            children = psutil.Process(starter.pid).children()
            (training,) = children
            yield starter, training
        finally:
            for each in children:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            starter.kill()


def test_it_ends_with_a_killed_run(tmp_path: Path) -> None:
    with begun(tmp_path) as (starter, training):
        starter.kill()
        starter.wait()
        training.wait(ENDS_SECONDS)


def test_an_interrupt_ends_it_at_once(tmp_path: Path) -> None:
    with begun(tmp_path) as (starter, training):
        os.kill(training.pid, signal.SIGINT)
        assert starter.wait(ENDS_SECONDS) != 0
        assert not training.is_running()
        assert starter.stderr is not None
        # The exception may be lost; the signal is not.
        assert "KeyboardInterrupt" not in starter.stderr.read()


def test_it_does_not_begin_without_its_run(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text("{}")
    gone = subprocess.run([sys.executable, "-m", "mlops_assets.models.train_process", str(job),
                           "--parent", "1"], check=False, capture_output=True, text=True)
    assert (gone.returncode, gone.stderr) == (1, "")
