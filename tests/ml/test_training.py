"""Training: it learns, it repeats itself byte for byte, and it takes any timm model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mlops_assets.config import ConfigError, TrainingSettings
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.features.shards import read_shard
from mlops_assets.models import training
from mlops_assets.models.batches import count_rows, epoch_order
from mlops_assets.models.export import export_program
from mlops_assets.models.network import load_network
from mlops_assets.models.programs import run_network, run_program
from mlops_assets.models.training import Epoch, measure, train
from mlops_assets.provenance.hashing import digest_files
from tests.shards import write_shards

BYOBNET = TrainingSettings(
    model="test_byobnet", epochs=6, batch_size=32, learning_rate=0.01, flip=False, shift=1,
    device="cpu", threads=1,
)


@pytest.fixture(autouse=True)
def torch_as_it_was() -> object:
    """Training switches deterministic algorithms on for its process; other tests share it."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


def _train(
    settings: TrainingSettings, shards: Path, place: Path, start: Path | None = None
) -> list[Epoch]:
    out = place / "out"
    out.mkdir(parents=True, exist_ok=True)
    return train(settings, shards, out, place / "checkpoints", lambda epoch, seconds: None, start)


def test_training_learns_the_digits(shards: Path, tmp_path: Path) -> None:
    history = _train(BYOBNET, shards, tmp_path)
    assert len(history) == 6
    accuracy, _ = measure(load_network(tmp_path / "out"), read_shard(shards, "test"),
                          torch.device("cpu"))
    assert accuracy > 0.9


def test_equal_inputs_give_equal_weights_byte_for_byte(shards: Path, tmp_path: Path) -> None:
    settings = BYOBNET.model_copy(update={"epochs": 2, "threads": 2, "erase": 0.5})
    _train(settings, shards, tmp_path / "one")
    _train(settings, shards, tmp_path / "two")
    assert digest_files(tmp_path / "one/out") == digest_files(tmp_path / "two/out")


def test_another_seed_gives_other_weights(shards: Path, tmp_path: Path) -> None:
    settings = BYOBNET.model_copy(update={"epochs": 1})
    _train(settings, shards, tmp_path / "one")
    _train(settings.model_copy(update={"seed": 1}), shards, tmp_path / "two")
    assert digest_files(tmp_path / "one/out") != digest_files(tmp_path / "two/out")


def test_resumed_training_gives_the_bytes_of_an_uninterrupted_one(
    shards: Path, tmp_path: Path
) -> None:
    settings = BYOBNET.model_copy(update={"epochs": 3, "accumulate": 2})
    _train(settings, shards, tmp_path / "whole")

    class Interrupted(Exception):
        pass

    def interrupt(epoch: Epoch, _: float) -> None:
        if epoch.epoch == 2:
            raise Interrupted

    checkpoints, out = tmp_path / "resumed/checkpoints", tmp_path / "resumed/out"
    out.mkdir(parents=True)
    with pytest.raises(Interrupted):
        train(settings, shards, out, checkpoints, interrupt)
    seen: list[int] = []
    train(settings, shards, out, checkpoints, lambda epoch, _: seen.append(epoch.epoch))
    assert seen == [3]
    assert digest_files(out) == digest_files(tmp_path / "whole/out")


def test_training_goes_on_within_an_epoch(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = BYOBNET.model_copy(
        update={"epochs": 2, "accumulate": 2, "batch_size": 16, "checkpoint_steps": 2})
    _train(settings, shards, tmp_path / "whole")
    begun: list[tuple[int, int]] = []
    made = training.step_generator

    class Interrupted(Exception):
        pass

    def interrupt(seed: int, epoch: int, step: int, rank: int = 0) -> torch.Generator:
        if (epoch, step) == (1, 7) and not begun:
            raise Interrupted
        return made(seed, epoch, step, rank)

    def note(seed: int, epoch: int, step: int, rank: int = 0) -> torch.Generator:
        begun.append((epoch, step))
        return made(seed, epoch, step, rank)

    monkeypatch.setattr(training, "step_generator", interrupt)
    with pytest.raises(Interrupted):
        _train(settings, shards, tmp_path / "resumed")
    monkeypatch.setattr(training, "step_generator", note)
    _train(settings, shards, tmp_path / "resumed")
    assert begun[0] == (1, 4)
    assert digest_files(tmp_path / "resumed/out") == digest_files(tmp_path / "whole/out")


def test_a_training_goes_on_from_a_model_of_the_same_kind(shards: Path, tmp_path: Path) -> None:
    _train(BYOBNET, shards, tmp_path / "before")
    short = BYOBNET.model_copy(update={"epochs": 1, "warm_rate": 0.1})
    fresh = _train(short, shards, tmp_path / "fresh")
    warm = _train(short, shards, tmp_path / "warm", tmp_path / "before/out")
    assert warm[0].accuracy > fresh[0].accuracy + 0.2
    _train(short, shards, tmp_path / "again", tmp_path / "before/out")
    assert digest_files(tmp_path / "again/out") == digest_files(tmp_path / "warm/out")
    other = short.model_copy(update={"model_args": {"drop_rate": 0.1}})
    _train(other, shards, tmp_path / "other", tmp_path / "before/out")
    _train(other, shards, tmp_path / "alone")
    assert digest_files(tmp_path / "other/out") == digest_files(tmp_path / "alone/out")


def test_an_epoch_has_every_row_and_those_of_production_more_often() -> None:
    batches = np.array(["initial"] * 60 + ["feedback-a-1"] * 30 + ["feedback-b-1"] * 10)
    order = epoch_order(batches, 2.5, seed=0, epoch=3)
    counts = np.bincount(order, minlength=100)
    assert len(order) == count_rows(batches, 2.5) == 160
    assert set(counts[:60].tolist()) == {1}
    assert set(counts[60:].tolist()) == {2, 3}
    plain = epoch_order(batches[:60], 2.5, seed=0, epoch=3)
    assert sorted(plain.tolist()) == list(range(60))


def test_early_stop_ends_a_training_that_does_not_improve(shards: Path, tmp_path: Path) -> None:
    settings = BYOBNET.model_copy(
        update={"epochs": 40, "early_stop_epochs": 1, "learning_rate": 1e-9})
    assert len(_train(settings, shards, tmp_path)) < 40


@pytest.mark.parametrize(
    ("model", "arguments", "channels", "size"),
    [
        ("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 32]}, 3, 32),
        ("test_vit", {"img_size": 32}, 1, 32),
        ("test_efficientnet", {}, 3, None),
        ("test_convnext", {}, 1, 32),
    ],
)
def test_any_timm_model_trains_exports_and_answers_as_eager(
    tmp_path: Path, model: str, arguments: dict[str, object], channels: int, size: int | None
) -> None:
    shards = write_shards(tmp_path / "shards", rows=300, channels=channels)
    settings = BYOBNET.model_copy(update={
        "model": model, "model_args": arguments, "input_size": size, "epochs": 1,
        "learning_rate": 0.001,
    })
    _train(settings, shards, tmp_path)
    images = read_shard(shards, "test").images
    exported = tmp_path / "exported"
    exported.mkdir()
    pixels = PixelSpec(height=8, width=8, channels=channels)
    export_program(load_network(tmp_path / "out"), pixels, exported / "model.onnx")
    eager = run_network(tmp_path / "out", images, threads=1)
    program = run_program(exported, images, threads=1)
    assert np.abs(eager[0] - program[0]).max() < 1e-4
    assert program[0].sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_unknown_model_is_one_line_that_names_the_setting(shards: Path, tmp_path: Path) -> None:
    settings = BYOBNET.model_copy(update={"model": "resnett18"})
    with pytest.raises(ConfigError, match=r"training\.model: resnett18") as caught:
        _train(settings, shards, tmp_path)
    assert "\n" not in str(caught.value)


def test_too_large_a_batch_is_one_line(shards: Path, tmp_path: Path) -> None:
    settings = BYOBNET.model_copy(update={"batch_size": 4096})
    with pytest.raises(ConfigError, match=r"training\.batch_size"):
        _train(settings, shards, tmp_path)
