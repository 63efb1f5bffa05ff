"""Grad-CAM of any timm model (Selvaraju et al. 2017), as a function that can be traced.

The gradient of one class' logit with respect to the last spatial feature map, averaged over
places, weighs the channels of that map; what is negative is cut off. For small images that map
has one cell or four and shows no place, so an earlier one is taken. There the averaged weights
often leave nothing at all (in 32 % of Fashion-MNIST for a resnet18), and each place is weighed by
its own positive gradient: LayerCAM (Jiang et al. 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mlops_assets.models.backward_ops import PlainPooling
from mlops_assets.models.network import ImageNetwork

MIN_CELLS: Final = 6
Layout = Literal["NCHW", "NHWC", "tokens"]
Heat = Callable[[Tensor, Tensor], Tensor]


class Unexplainable(Exception):
    """The architecture has no feature map that Grad-CAM can be computed on, or not in ONNX."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A feature map: what ``module`` gives, or what enters the head when it is None.

    ``grid`` is its ``(rows, columns)``; tokens have ``prefix`` others before those of the grid.
    """

    name: str
    module: nn.Module | None
    layout: Layout
    shape: tuple[int, ...]
    grid: tuple[int, int]
    prefix: int = 0

    @property
    def method(self) -> Literal["Grad-CAM", "LayerCAM"]:
        """How places are weighed; tokens are all of one resolution, and never early."""
        last = self.module is None or self.layout == "tokens"
        return "Grad-CAM" if last else "LayerCAM"

    def to_map(self, features: Tensor) -> Tensor:
        """Features as ``[1, rows, columns, C]``."""
        if self.layout == "NCHW":
            return features.permute(0, 2, 3, 1)
        if self.layout == "tokens":
            return features[:, self.prefix :].reshape(1, *self.grid, -1)
        return features


def find_layer(network: ImageNetwork, image: NDArray[np.uint8]) -> Layer:
    """The last feature map of at least ``MIN_CELLS`` a side that the answer depends on.

    The finest one where none has as many cells. Class-token models answer from one token, so the
    last map with a gradient is the normalized tokens that enter their last block.

    Raises:
        Unexplainable: no map, or none with a gradient.
    """
    pixels = torch.from_numpy(image[None].copy())
    best: Layer | None = None
    for name, module, channels in _candidates(network.backbone):
        with torch.no_grad():
            features = _features(network, pixels, module)
        layer = _describe(network, name, module, features, channels, image.shape)
        if layer is None or (best is not None and min(layer.grid) <= min(best.grid)):
            continue
        gradient = _gradient(network, layer, pixels, _mixed_logits)[1]
        if not bool(layer.to_map(gradient).any()):
            continue
        best = layer
        if min(layer.grid) >= MIN_CELLS:
            break
    if best is None:
        raise Unexplainable("no spatial feature map that the answer depends on was found")
    return best


def grad_cam(network: ImageNetwork, layer: Layer) -> Heat:
    """Function of one image uint8 ``[1, H, W, C]`` and target int64 ``[1]`` to its heat."""

    def heat(images: Tensor, target: Tensor) -> Tensor:
        def score(logits: Tensor) -> Tensor:
            chosen = torch.arange(logits.shape[1]) == target[:, None]
            return (logits * chosen.to(logits.dtype)).sum()

        features, gradient = _gradient(network, layer, images, score)
        weights = layer.to_map(gradient)
        if layer.method == "Grad-CAM":
            weights = weights.mean((1, 2), keepdim=True)
        else:
            weights = weights.relu()
        return (layer.to_map(features) * weights).sum(-1).relu()

    return heat


def _candidates(backbone: Any) -> Iterator[tuple[str, nn.Module | None, int | None]]:
    """Name, module and channels of feature maps, the last first."""
    yield "features", None, None
    blocks: Any = getattr(backbone, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and hasattr(blocks[-1], "norm1"):
        name = f"blocks.{len(blocks) - 1}.norm1"
        yield name, backbone.get_submodule(name), None
    known: Any = getattr(backbone, "feature_info", None) or []
    for info in reversed(list(getattr(known, "info", known))):
        yield info["module"], backbone.get_submodule(info["module"]), info["num_chs"]


def _describe(
    network: ImageNetwork, name: str, module: nn.Module | None, features: Any,
    channels: int | None, image: tuple[int, ...],
) -> Layer | None:
    """The layer that gives ``features``; None when they are no map."""
    backbone = network.backbone
    if not isinstance(features, Tensor):
        return None
    shape = tuple(features.shape)
    if len(shape) == 4:
        last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
        if channels not in (None, shape[-1 if last else 1]):
            return None
        grid = (shape[1], shape[2]) if last else (shape[2], shape[3])
        return Layer(name, module, "NHWC" if last else "NCHW", shape, grid)
    if len(shape) == 3:
        aspect = image[0] / image[1]
        for prefix in (getattr(backbone, "num_prefix_tokens", None) or 0, 0):
            count = shape[1] - prefix
            rows = max(1, round(math.sqrt(max(count, 0) * aspect)))
            columns = round(rows / aspect)
            if rows * columns == count:
                return Layer(name, module, "tokens", shape, (rows, columns), prefix)
    return None


def _features(network: ImageNetwork, images: Tensor, module: nn.Module | None) -> Any:
    found: list[Any] = []
    with _hooked(module, lambda _module, _given, features: found.append(features)):
        features = network.backbone.forward_features(network.prepare(images))
    if module is None:
        return features
    return found[-1] if found else None


def _gradient(
    network: ImageNetwork, layer: Layer, images: Tensor, score: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Features of one image and the gradient of ``score`` of its logits by them.

    What is differentiated by is a zero added to the features, so nothing before them is.
    """
    # Convolutions keep the strides of what they are given, and strides are not for ONNX.
    prepared = network.prepare(images).clone(memory_format=torch.contiguous_format)
    found: list[Tensor] = []

    def scored(change: Tensor) -> Tensor:
        def add(_module: Any, _given: Any, features: Tensor) -> Tensor:
            found.append(features)
            return features + change

        with _hooked(layer.module, add):
            features = network.backbone.forward_features(prepared)
        if layer.module is None:
            features = add(None, None, features)
        return score(network.classify(features)[0])

    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), PlainPooling():
        gradient: Tensor = torch.func.grad(scored)(torch.zeros(layer.shape))
    return found[-1], gradient


@contextmanager
def _hooked(module: nn.Module | None, hook: Callable[[Any, Any, Any], Any]) -> Iterator[None]:
    handle = None if module is None else module.register_forward_hook(hook)
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()


def _mixed_logits(logits: Tensor) -> Tensor:
    """A number that depends on every class, on each in its own way."""
    return (logits * torch.linspace(1, 2, logits.shape[1])).sum()
