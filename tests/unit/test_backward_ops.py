"""Gradients as forward operations equal those of autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from mlops_assets.models.backward_ops import PlainPooling, decompositions

Layer = Callable[[Tensor], Tensor]


def convolution(channels: int = 4, **options: Any) -> Layer:
    torch.manual_seed(1)
    weight = torch.randn(6, channels // options.get("groups", 1), 3, 2, dtype=torch.float32)
    return lambda image: functional.conv2d(image, weight, torch.ones(6), **options)


def pooling(**options: Any) -> Layer:
    return lambda image: functional.avg_pool2d(image, **options)


@pytest.mark.parametrize("layer", [
    convolution(),
    convolution(stride=2),
    convolution(stride=(3, 2), padding=(1, 0)),
    convolution(dilation=2, padding=2),
    convolution(groups=2, stride=2, padding=1),
    pooling(kernel_size=2),
    pooling(kernel_size=3, stride=2, padding=1),
    pooling(kernel_size=3, stride=2, padding=1, count_include_pad=False),
    pooling(kernel_size=(2, 3), stride=(2, 3), ceil_mode=True),
    pooling(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    pooling(kernel_size=3, stride=2, padding=1, ceil_mode=True),
    lambda image: functional.adaptive_avg_pool2d(image, (3, 4)),
    lambda image: functional.adaptive_avg_pool2d(image, 1),
    lambda image: functional.adaptive_avg_pool2d(image, (14, 5)),
    lambda image: functional.max_pool2d(image, 3, 2, 1),
    lambda image: functional.max_pool2d(image, 2, ceil_mode=True),
    functional.silu,
    functional.gelu,
    functional.hardswish,
    lambda image: functional.group_norm(image, 2),
    lambda image: functional.layer_norm(image, image.shape[1:]),
])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_traced_gradient_equals_autograd(layer: Layer, memory_format: torch.memory_format) -> None:
    image = torch.randn(2, 4, 9, 11).contiguous(memory_format=memory_format)
    mixing = torch.randn_like(layer(image))

    def score(given: Tensor) -> Tensor:
        return (layer(given) * mixing).sum()

    given = image.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(score(given), given)
    gradient = torch.func.functionalize(torch.func.grad(score), remove="mutations")
    with PlainPooling():
        traced = make_fx(gradient, decomposition_table=decompositions())(image)
    torch.testing.assert_close(traced(image), wanted)
    names = " ".join(str(node.target) for node in traced.graph.nodes)
    assert "backward" not in names
    assert "as_strided" not in names


@pytest.mark.parametrize("layer", [
    lambda image: functional.avg_pool2d(image, 2, divisor_override=3),
    lambda image: functional.conv_transpose2d(image, torch.ones(4, 2, 3, 3)),
])
def test_what_is_not_covered_is_said(layer: Layer) -> None:
    gradient = torch.func.grad(lambda image: layer(image).sum())
    with pytest.raises(NotImplementedError, match="gradient of"):
        make_fx(gradient, decomposition_table=decompositions())(torch.randn(1, 4, 6, 6))
