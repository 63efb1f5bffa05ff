"""Grad-CAM without torch: what is exported answers as autograd does, for many architectures."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlops_assets.contracts.model_card import EXPLAIN_FILE
from mlops_assets.models import explanation
from mlops_assets.models.explanation import export_explanation
from mlops_assets.models.grad_cam import Layer, find_layer
from mlops_assets.models.network import ImageNetwork, NetworkSpec
from mlops_assets.provenance.hashing import sha256_file

CLASSES = [f"digit-{index}" for index in range(10)]
SMALL_RESNET = {"layers": [1, 1, 1, 1], "channels": [8, 16, 16, 32]}


def make_images(channels: int, count: int = 5) -> NDArray[np.uint8]:
    shape = (count, 28, 28, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def by_autograd(network: ImageNetwork, layer: Layer, image: NDArray[np.uint8], target: int
                ) -> NDArray[np.float32]:
    """The heat in the textbook's way: the kept feature map, and autograd's gradient by it."""
    kept: list[Tensor] = []
    if layer.module is None:
        features = network.backbone.forward_features(network.prepare(torch.from_numpy(image)))
        features = features.detach().requires_grad_()
        logits, _ = network.classify(features)
        kept.append(features)
    else:
        def keep(_module: object, _given: object, features: Tensor) -> None:
            features.retain_grad()
            kept.append(features)

        hook = layer.module.register_forward_hook(keep)
        logits, _ = network(torch.from_numpy(image))
        hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, target], kept)
    features = kept[0].detach()
    if layer.layout == "tokens":
        rows, columns = layer.grid
        features, gradient = (each[:, layer.prefix:].transpose(1, 2).unflatten(2, (rows, columns))
                              for each in (features, gradient))
    elif layer.layout == "NHWC":
        features, gradient = (each.permute(0, 3, 1, 2) for each in (features, gradient))
    if layer.method == "Grad-CAM":
        weights = gradient.mean(dim=(2, 3), keepdim=True)
    else:
        weights = torch.relu(gradient)
    return torch.relu((weights * features).sum(dim=1)).numpy()


def run_program(folder: Path, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(folder / EXPLAIN_FILE),
                                           providers=["CPUExecutionProvider"])
    given = {"images": image, "target": np.array([target], np.int64)}
    heat: NDArray[np.float32] = session.run(["heat"], given)[0]
    return heat


@dataclass(frozen=True)
class Case:
    """One architecture, and the layer that explains it."""

    model: str
    layer: str
    channels: int = 1
    size: int | None = None
    grid: tuple[int, int] = (7, 7)
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> ImageNetwork:
        torch.manual_seed(0)
        spec = NetworkSpec(self.model, self.arguments, self.size, self.channels, CLASSES,
                           [70.0] * self.channels, [50.0] * self.channels)
        return ImageNetwork(spec).eval()


@pytest.mark.parametrize("case", [
    # The last map, where it is fine enough, and earlier ones.
    Case("resnet18", "features", 3, 192, (6, 6), SMALL_RESNET),
    Case("resnet18", "layer2", size=56, arguments=SMALL_RESNET),
    Case("test_byobnet", "stages.0"),
    Case("test_efficientnet", "blocks.1", 3),
    Case("test_convnext", "stages.0", size=32, grid=(8, 8)),
    # Answers from a class token; from the mean of all tokens.
    Case("test_vit", "blocks.5.norm1", size=32, grid=(2, 2), arguments={"img_size": 32}),
    Case("test_vit2", "features", 3, 64, (4, 4), {"img_size": 64}),
    # Channels last; a convolution after pooling.
    Case("test_mambaout", "stages.1", 3, 64, (8, 8)),
    Case("mobilenetv3_small_050", "blocks.1", 3, 64, (8, 8)),
], ids=lambda case: f"{case.model}-{case.layer}")
def test_program_gives_the_heat_of_autograd(tmp_path: Path, case: Case) -> None:
    network, images = case.network, make_images(case.channels)
    done = export_explanation(network, images, tmp_path)
    assert (done.explain, done.reason) == ("gradcam", "")
    layer = find_layer(network, images[0])
    assert (layer.name, layer.grid) == (case.layer, case.grid)
    assert done.layer == layer
    assert done.error < 1e-4
    for target, image in enumerate(images):
        wanted = by_autograd(network, layer, image[None], target)
        heat = run_program(tmp_path, image[None], target)
        assert heat.dtype == np.float32
        assert heat.shape == wanted.shape == (1, *case.grid)
        assert heat.min() >= 0
        assert np.abs(heat - wanted).max() <= 1e-4 * wanted.max() + 1e-12


def test_equal_networks_give_equal_bytes_and_are_left_as_they_were(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        network = Case("test_byobnet", "").network
        export_explanation(network, make_images(1), tmp_path / name)
        digests.append(sha256_file(tmp_path / name / EXPLAIN_FILE))
        assert not [module for module in network.modules() if module._forward_hooks]
        assert all(each.requires_grad and each.grad is None for each in network.parameters())
    assert digests[0] == digests[1]


def test_images_that_are_not_square_have_their_own_grid() -> None:
    case = Case("test_vit2", "", 3, arguments={"img_size": (64, 96)})
    layer = find_layer(case.network, np.zeros((64, 96, 3), np.uint8))
    assert (layer.name, layer.grid, layer.prefix) == ("features", (4, 6), 1)


def test_a_map_that_shows_no_place_is_not_explained_by_gradients(tmp_path: Path) -> None:
    # Its tokens do not say how many of them are no part of the grid.
    case = Case("volo_d1_224", "", 3, 64, arguments={"img_size": 64})
    done = export_explanation(case.network, make_images(3), tmp_path)
    assert done.explain == "occlusion"
    assert done.facts() == {"explain": "occlusion", "explain_reason": done.reason}
    assert "no spatial feature map" in done.reason
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["operation", "answer"])
def test_an_export_that_fails_leaves_occlusion_and_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    if fault == "operation":
        monkeypatch.setattr(explanation, "grad_cam", lambda network, layer: torch.linalg_eigh)
    else:
        monkeypatch.setattr(explanation, "MAX_ERROR", -1.0)
    done = export_explanation(Case("test_byobnet", "").network, make_images(1), tmp_path)
    assert done.explain == "occlusion"
    assert done.reason
    assert "\n" not in done.reason
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_property_of_the_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(explanation, "write_onnx", full)
    with pytest.raises(OSError, match="No space left"):
        export_explanation(Case("test_byobnet", "").network, make_images(1), tmp_path)
