"""A training that is killed at any step and goes on ends with the bytes of one that was not."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from pathlib import Path
from typing import Final

import pytest

from mlops_assets.config import TrainingSettings
from mlops_assets.provenance.hashing import digest_files
from tests.shards import write_shards

pytestmark = pytest.mark.slow
KILLS: Final = 20
CHECKPOINT_FILE: Final = "checkpoint.pt"
SETTINGS: Final = TrainingSettings(
    model="test_byobnet", epochs=4, batch_size=32, learning_rate=0.01, flip=False, shift=1,
    device="cpu", threads=1, checkpoint_steps=3,
)


def run_training(shards: Path, place: Path) -> None:
    """Train, or go on, in this process."""
    from mlops_assets.models.training import train

    out = place / "out"
    out.mkdir(parents=True, exist_ok=True)
    train(SETTINGS, shards, out, place / "checkpoints", lambda epoch, seconds: None)


def test_twenty_kills_change_no_byte(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards")
    # Its children have torch already: a kill falls into the training, not into an import.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mlops_assets.models.training", __name__])
    whole = tmp_path / "whole"
    processes.Process(target=time.sleep, args=(0,)).start()

    def begin(place: Path) -> multiprocessing.process.BaseProcess:
        child = processes.Process(target=run_training, args=(shards, place))
        child.start()
        return child

    started = time.monotonic()
    first = begin(whole)
    first.join()
    seconds = time.monotonic() - started
    assert first.exitcode == 0
    expected = digest_files(whole / "out")
    chance, kills, number, resumed = random.Random(0), 0, 0, 0
    while kills < KILLS:
        number += 1
        place = tmp_path / f"killed-{number}"
        while True:
            child = begin(place)
            child.join(chance.uniform(0.02, seconds) if kills < KILLS else None)
            if child.exitcode is not None:
                assert child.exitcode == 0
                break
            child.kill()
            child.join()
            if child.exitcode == 0:  # It ended between the last look and the kill.
                break
            assert child.exitcode == -signal.SIGKILL
            kills += 1
            resumed += (place / "checkpoints" / CHECKPOINT_FILE).is_file()
        assert digest_files(place / "out") == expected, number
    assert kills == KILLS
    assert resumed >= KILLS / 4
