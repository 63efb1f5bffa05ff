"""Gradients of layers as forward operations, which ONNX has.

A traced gradient holds operations such as ``convolution_backward`` that neither ONNX nor PyTorch's
core decompositions know. Each here gives the gradient by its input alone, which is all that a
class activation map needs: the weights are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.nn import functional
from torch.overrides import TorchFunctionMode

Decompositions = Mapping[Any, Callable[..., Any]]
_ADAPTIVE: Final[tuple[Any, ...]] = (
    functional.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d
)


class PlainPooling(TorchFunctionMode):
    """Global average pooling as a mean: on channels-last maps PyTorch rewrites its strides."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answer one call of a torch function."""
        if func in _ADAPTIVE and args[1:] in ((1,), ((1, 1),), ([1, 1],)):
            return args[0].mean((-2, -1), keepdim=True)
        return func(*args, **(kwargs or {}))


def decompositions() -> Decompositions:
    """PyTorch's core decompositions and those of this module, by operation."""
    aten: Any = torch.ops.aten
    return {
        **core_aten_decompositions(),
        aten.convolution_backward.default: convolution_backward,
        aten.avg_pool2d_backward.default: avg_pool_backward,
        aten._adaptive_avg_pool2d_backward.default: adaptive_avg_pool_backward,
        aten.max_pool2d_with_indices_backward.default: max_pool_backward,
        aten.empty_permuted.default: _zeros,
    }


def convolution_backward(
    grad: Tensor, image: Tensor, weight: Tensor, _bias_sizes: Sequence[int] | None,
    stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], transposed: bool,
    _output_padding: Sequence[int], groups: int, mask: Sequence[bool],
) -> tuple[Tensor, None, None]:
    """A transposed convolution; rows that the stride left out are its output padding.

    Raises:
        NotImplementedError: a transposed convolution, or a gradient by the weights.
    """
    if transposed or mask[1] or mask[2]:
        raise NotImplementedError("gradient of a transposed convolution, or by its weights")
    left = [
        size - ((rows - 1) * step - 2 * pad + spread * (side - 1) + 1)
        for size, rows, step, pad, spread, side in zip(
            image.shape[2:], grad.shape[2:], stride, padding, dilation, weight.shape[2:],
            strict=True,
        )
    ]
    gradient: Tensor = torch.ops.aten.convolution(
        grad, weight, None, stride, padding, dilation, True, left, groups
    )
    return gradient, None, None


def avg_pool_backward(
    grad: Tensor, image: Tensor, kernel: Sequence[int], stride: Sequence[int],
    padding: Sequence[int], _ceil: bool, count_padding: bool, divisor: int | None,
) -> Tensor:
    """Average pooling is linear in rows and in columns: two products with fixed matrices.

    Raises:
        NotImplementedError: a divisor of its own.
    """
    if divisor is not None:
        raise NotImplementedError("gradient of average pooling with `divisor_override`")
    windows = [
        _windows(image.shape[axis], grad.shape[axis], _at(kernel, axis),
                 _at(stride or kernel, axis), _at(padding, axis), count_padding=count_padding)
        for axis in (-2, -1)
    ]
    return windows[0].T @ grad @ windows[1]


def adaptive_avg_pool_backward(grad: Tensor, image: Tensor) -> Tensor:
    """The same, with windows that share the sides out evenly."""
    shares = [_shares(image.shape[axis], grad.shape[axis]) for axis in (-2, -1)]
    return shares[0].T @ grad @ shares[1]


def max_pool_backward(
    grad: Tensor, image: Tensor, _kernel: Sequence[int], _stride: Sequence[int],
    _padding: Sequence[int], _dilation: Sequence[int], _ceil: bool, indices: Tensor,
) -> Tensor:
    """Each gradient goes to the place of its window's maximum, within its channel's plane."""
    planes = math.prod(image.shape[:-2])
    zeros = torch.zeros((planes, math.prod(image.shape[-2:])))
    moved = zeros.scatter_add(1, indices.reshape(planes, -1), grad.reshape(planes, -1))
    return moved.reshape(image.shape)


def _zeros(size: Sequence[int], _order: Sequence[int], *, dtype: torch.dtype, **_: Any) -> Tensor:
    return torch.zeros(size, dtype=dtype)


def _at(values: Sequence[int], axis: int) -> int:
    """The value for rows (-2) or columns (-1); a single one is for both."""
    return values[axis] if len(values) > 1 else values[0]


def _windows(
    size: int, count: int, kernel: int, stride: int, padding: int, *, count_padding: bool
) -> Tensor:
    """Weights ``[count, size]`` of each window over the unpadded places."""
    weights = torch.zeros((count, size))
    for row in range(count):
        start = row * stride - padding
        end = min(start + kernel, size + padding)
        inside = slice(max(start, 0), min(end, size))
        weights[row, inside] = 1 / (end - start if count_padding else inside.stop - inside.start)
    return weights


def _shares(size: int, count: int) -> Tensor:
    weights = torch.zeros((count, size))
    for row in range(count):
        start, end = row * size // count, -(-(row + 1) * size // count)
        weights[row, start:end] = 1 / (end - start)
    return weights
