"""Training by two processes: equal parts, one result, whatever is killed and goes on."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Final

import numpy as np
import psutil
import pytest

from mlops_assets.config import TrainingSettings
from mlops_assets.contracts.files import HISTORY_FILE
from mlops_assets.features.shards import read_shard
from mlops_assets.models.batches import gather_batches
from mlops_assets.provenance.hashing import digest_files
from tests.shards import write_shards

KILLS: Final = 20
CHECKPOINT_FILE: Final = "checkpoint.pt"
SETTINGS: Final = TrainingSettings(
    model="test_byobnet", epochs=4, batch_size=32, learning_rate=0.01, flip=False, shift=1,
    device="cpu", threads=1, processes=2,
)


def work(shards: Path, place: Path, settings: TrainingSettings) -> None:
    """One of the processes."""
    from mlops_assets.models.distributed import joined
    from mlops_assets.models.training import pick_device, train

    (place / f"worker-{os.getpid()}").touch()
    out = place / "out"
    out.mkdir(parents=True, exist_ok=True)
    with joined(pick_device(settings.device)) as group:
        train(settings, shards, out, place / "checkpoints", lambda epoch, seconds: None,
              group=group)


def train_together(shards: Path, place: Path, settings: TrainingSettings = SETTINGS) -> None:
    """Start the processes and wait for them."""
    from mlops_assets.models.distributed import launch

    launch(settings.processes, work, shards, place, settings)


def begin(shards: Path, place: Path) -> multiprocessing.process.BaseProcess:
    place.mkdir(exist_ok=True)
    child = multiprocessing.get_context("spawn").Process(
        target=train_together, args=(shards, place))
    child.start()
    return child


def workers(place: Path) -> list[psutil.Process]:
    """Those that are alive."""
    found = []
    for path in place.glob("worker-*"):
        pid = int(path.name.split("-")[1])
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            found.append(psutil.Process(pid))
    return found


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("distributed") / "shards")


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A training that nothing disturbed, and its seconds."""
    place = tmp_path_factory.mktemp("whole")
    began = time.monotonic()
    train_together(shards, place)
    return place / "out", time.monotonic() - began


def test_processes_share_every_batch_without_overlap(shards: Path) -> None:
    shard = read_shard(shards, "train")
    order = np.random.default_rng(0).permutation(len(shard.labels))
    alone = list(gather_batches(shard, order, 32))
    parts = [list(gather_batches(shard, order, 32, rank=rank, size=4)) for rank in range(4)]
    assert {len(part) for part in parts} == {len(alone)}
    for number, (pixels, labels) in enumerate(alone):
        shared = np.stack([part[number][0].numpy() for part in parts], axis=1)
        np.testing.assert_array_equal(shared.reshape(pixels.shape), pixels.numpy())
        told = np.stack([part[number][1].numpy() for part in parts], axis=1)
        np.testing.assert_array_equal(told.reshape(-1), labels.numpy())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_change_no_byte(
    shards: Path, whole: tuple[Path, float], tmp_path: Path
) -> None:
    expected, seconds = digest_files(whole[0]), whole[1]
    chance, kills, number, resumed = random.Random(0), 0, 0, 0
    while kills < KILLS:
        number += 1
        place = tmp_path / f"killed-{number}"
        while True:
            child = begin(shards, place)
            # A new launcher takes a while to import torch; kills shall fall into the training.
            child.join(chance.uniform(seconds / 3, seconds + 1) if kills < KILLS else None)
            child.kill()
            child.join()
            if child.exitcode == 0:
                break
            assert child.exitcode == -signal.SIGKILL
            kills += 1
            resumed += (place / "checkpoints" / CHECKPOINT_FILE).is_file()
            deadline = time.monotonic() + 10
            while (left := workers(place)) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert not left, "workers outlive their launcher"
        assert digest_files(place / "out") == expected, number
    assert resumed >= KILLS / 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_worker_is_started_again(
    shards: Path, whole: tuple[Path, float], tmp_path: Path
) -> None:
    child = begin(shards, tmp_path)
    checkpoint = tmp_path / "checkpoints" / CHECKPOINT_FILE
    deadline = time.monotonic() + 120
    while not checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    first = workers(tmp_path)
    random.Random(0).choice(first).kill()
    child.join()
    assert child.exitcode == 0
    assert len(list(tmp_path.glob("worker-*"))) >= 4
    assert digest_files(tmp_path / "out") == digest_files(whole[0])


@pytest.mark.slow
def test_two_processes_learn_what_one_does(shards: Path, tmp_path: Path) -> None:
    from mlops_assets.models.training import train

    settings = SETTINGS.model_copy(update={"epochs": 16})
    train(settings, shards, tmp_path, tmp_path / "checkpoints", lambda epoch, seconds: None)
    together = tmp_path / "together"
    together.mkdir()
    train_together(shards, together, settings)
    one, two = (json.loads((path / HISTORY_FILE).read_bytes())[-1]["accuracy"]
                for path in (tmp_path, together / "out"))
    # Batch normalization sees parts of a batch; one of the validation images is 0.006.
    assert two == pytest.approx(one, abs=0.03)
    assert two > 0.95


@pytest.mark.slow
def test_a_batch_that_can_not_be_shared_is_refused_once(shards: Path, tmp_path: Path) -> None:
    from mlops_assets.models.distributed import WorkersFailed

    settings = SETTINGS.model_copy(update={"batch_size": 33})
    with pytest.raises(WorkersFailed, match=r"change `training\.batch_size`"):
        train_together(shards, tmp_path, settings)
    assert len(list(tmp_path.glob("worker-*"))) == 2
