"""Networks for photos, over small images: the second form of their program is the same model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mlops_assets.contracts.model_card import BATCHED_FILE, PROGRAM_FILE
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.models.export import export_program
from mlops_assets.models.network import ImageNetwork, NetworkSpec
from mlops_assets.models.onnx_file import write_batched
from mlops_assets.models.programs import run_program
from mlops_assets.provenance.hashing import sha256_file


def make_network(model: str) -> ImageNetwork:
    """With batch norms that do something, as after training."""
    torch.manual_seed(0)
    arguments = {"zero_init_last": False} if model.startswith("resnet") else {}
    network = ImageNetwork(NetworkSpec(model, arguments, None, 1, ["a", "b", "c"], [73.0], [90.0]))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    return network.eval()


@pytest.mark.parametrize(("model", "least"), [("resnet18", 10), ("vgg11_bn", 2)])
def test_the_answers_are_those_of_the_program(tmp_path: Path, model: str, least: int) -> None:
    pixels = PixelSpec(height=28, width=28, channels=1)
    if model.startswith("vgg"):
        pixels = PixelSpec(height=32, width=32, channels=1)
    export_program(make_network(model), pixels, tmp_path / PROGRAM_FILE)
    assert write_batched(tmp_path / PROGRAM_FILE, tmp_path / BATCHED_FILE) >= least
    images = np.random.default_rng(0).integers(0, 256, (33, *pixels.shape), dtype=np.uint8)
    expected = run_program(tmp_path, images, threads=2)
    found = run_program(tmp_path, images, threads=2, program=BATCHED_FILE)
    assert np.abs(expected[0] - found[0]).max() < 1e-5
    assert np.abs(expected[1] - found[1]).max() < 1e-5 * np.abs(expected[1]).max()
    digest = sha256_file(tmp_path / BATCHED_FILE)
    write_batched(tmp_path / PROGRAM_FILE, tmp_path / BATCHED_FILE)
    assert sha256_file(tmp_path / BATCHED_FILE) == digest


def test_a_program_without_small_maps_has_no_other_form(tmp_path: Path) -> None:
    pixels = PixelSpec(height=160, width=160, channels=1)
    export_program(make_network("resnet18"), pixels, tmp_path / PROGRAM_FILE)
    assert write_batched(tmp_path / PROGRAM_FILE, tmp_path / BATCHED_FILE) == 0
    assert not (tmp_path / BATCHED_FILE).exists()
