"""The convolutions of an ONNX graph whose maps have sizes that are known beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.float32]


@dataclass(slots=True)
class Convolution:
    """A ``Conv`` of one group over a map of known size, with the normalization that follows.

    ``weight`` ``[K, C, rows, columns]`` and ``bias`` ``[K]`` have that normalization in them, and
    ``result`` is what it names; ``inputs`` and ``outputs`` are heights and widths of maps, ``pads``
    those above and to the left.
    """

    node: onnx.NodeProto
    weight: Floats
    bias: Floats
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    result: str


def convolutions(graph: onnx.GraphProto, *, fold: bool = True) -> Iterator[Convolution]:
    """Those with constant weights and without dilation, in order.

    The graph has inferred shapes. Without ``fold`` normalizations are left alone.
    """
    constants = {each.name: each for each in graph.initializer}
    maps = {each.name: _sides(each) for each in (*graph.value_info, *graph.input, *graph.output)}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type != "Conv" or any(name not in constants for name in node.input[1:]):
            continue
        sides, result_sides = maps.get(node.input[0]), maps.get(node.output[0])
        told = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        pads = tuple(told.get("pads", (0, 0, 0, 0)))
        plain = (told.get("group", 1) == 1 and set(told.get("dilations", (1, 1))) == {1}
                 and told.get("auto_pad", b"NOTSET") == b"NOTSET" and len(pads) == 4)
        if sides is None or result_sides is None or not plain:
            continue
        weight = numpy_helper.to_array(constants[node.input[1]])
        bias = (numpy_helper.to_array(constants[node.input[2]]) if len(node.input) > 2
                else np.zeros(len(weight), np.float32))
        after = readers.get(node.output[0], [])
        result = node.output[0]
        if fold and len(after) == 1 and after[0].op_type == "BatchNormalization" and all(
            name in constants for name in after[0].input[1:]
        ):
            weight, bias = _fold(weight, bias, after[0], constants)
            result = after[0].output[0]
        strides = told.get("strides", (1, 1))
        yield Convolution(node, weight, bias, sides, result_sides, (strides[0], strides[1]),
                           (pads[0], pads[1]), result)


def _fold(
    weight: Floats, bias: Floats, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[Floats, Floats]:
    """Weights and bias of a convolution with its batch normalization in them, via float64."""
    scale, shift, mean, variance = (
        numpy_helper.to_array(constants[name]).astype(np.float64) for name in node.input[1:5])
    epsilon = next((each.f for each in node.attribute if each.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    return ((weight * factor[:, None, None, None]).astype(np.float32),
            ((bias - mean) * factor + shift).astype(np.float32))


def _sides(value: onnx.ValueInfoProto) -> tuple[int, int] | None:
    sizes = value.type.tensor_type.shape.dim
    if len(sizes) != 4 or not all(each.HasField("dim_value") for each in sizes[2:]):
        return None
    return sizes[2].dim_value, sizes[3].dim_value


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants that no node reads."""
    used = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
