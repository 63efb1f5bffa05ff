"""A second form of an exported program, faster over batches of small images.

Networks made for photos shrink a small image to maps of one to four pixels a side, where most of
what a convolution multiplies is padding. There it is rewritten into matrix products: the numbers
are the same but for the rounding of float32, which the export's parity check bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from mlops_assets.models.toom_cook import MAX_SIZE, TAPS, row_of, spectral_weights

Floats = NDArray[np.float32]
# Products of so few positions are split, as ONNX Runtime packs only plain matrices beforehand.
MAX_SPLIT: Final = 9
MAX_DENSE_BYTES: Final = 16 << 20


@dataclass(slots=True)
class _Convolution:
    """A ``Conv`` over a map whose size is known, with the batch normalization that follows."""

    node: onnx.NodeProto
    weight: Floats
    bias: Floats
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    result: str


@dataclass(slots=True)
class _Writer:
    """Nodes and constants that replace one convolution; names begin with ``prefix``."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: NDArray[Any]) -> str:
        """Keep a value; its name."""
        name = f"{self.prefix}/c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        """Append a node of one output; its name."""
        name = to or f"{self.prefix}/n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def shape(self, value: str, *sizes: int) -> str:
        """Reshape."""
        return self.add("Reshape", value, self.constant(np.array(sizes, np.int64)))


def specialize(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """The rewritten program, and how many convolutions were rewritten.

    Programs whose maps are larger, or not known beforehand, come back unchanged with 0.
    """
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    graph = inferred.graph
    found = {each.result: each for each in _convolutions(graph)}
    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    count = 0
    for node in graph.node:
        each = found.get(node.output[0])
        written = None if each is None else _rewrite(each)
        if each is None or written is None:
            nodes.append(node)
            continue
        gone |= {each.node.output[0]} - {each.result}
        nodes += written.nodes
        graph.initializer.extend(written.constants)
        count += 1
    del graph.node[:], graph.value_info[:]
    graph.node.extend(node for node in nodes if node.output[0] not in gone)
    _drop_unused(graph)
    onnx.checker.check_model(inferred)
    return inferred, count


def _convolutions(graph: onnx.GraphProto) -> Iterator[_Convolution]:
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
        if len(after) == 1 and after[0].op_type == "BatchNormalization" and all(
            name in constants for name in after[0].input[1:]
        ):
            weight, bias = _fold(weight, bias, after[0], constants)
            result = after[0].output[0]
        strides = told.get("strides", (1, 1))
        yield _Convolution(node, weight, bias, sides, result_sides, (strides[0], strides[1]),
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


def _rewrite(each: _Convolution) -> _Writer | None:
    """Fewer multiplications for this one, or None."""
    if each.outputs == (1, 1):
        return _to_one_pixel(each)
    if (each.weight.shape[2:] == (TAPS, TAPS) and each.strides == each.pads == (1, 1)
            and each.inputs == each.outputs and max(each.inputs) <= MAX_SIZE):
        return _to_products(each)
    return None


def _to_one_pixel(each: _Convolution) -> _Writer | None:
    """One output pixel sees each input pixel through one tap: a plain matrix product."""
    (top, left), (height, width) = each.pads, each.inputs
    seen = each.weight[:, :, top : top + height, left : left + width]
    channels, used = each.weight.shape[1], seen.shape[2] * seen.shape[3]
    if used == each.weight.shape[2] * each.weight.shape[3] or 2 * used <= height * width:
        return None
    matrix = np.zeros((len(each.weight), channels, height, width), np.float32)
    matrix[:, :, : seen.shape[2], : seen.shape[3]] = seen
    if matrix.nbytes > MAX_DENSE_BYTES:
        return None
    write = _Writer(each.result)
    flat = write.shape(each.node.input[0], -1, channels * height * width)
    product = write.add("Gemm", flat, write.constant(matrix.reshape(len(matrix), -1).T),
                        write.constant(each.bias))
    write.add("Reshape", product, write.constant(np.array((-1, len(matrix), 1, 1), np.int64)),
              to=each.result)
    return write


def _to_products(each: _Convolution) -> _Writer:
    """Positions first, then images, then channels: then every step is a matrix product."""
    height, width = each.inputs
    rows, columns = row_of(height), row_of(width)
    spectral = spectral_weights(each.weight, rows, columns)
    products, channels, kernels = spectral.shape
    write = _Writer(each.result)
    value = write.add("Transpose", each.node.input[0], perm=(2, 3, 0, 1))
    value = write.shape(value, height * width, -1)
    value = write.add("MatMul", write.constant(_kron(rows.inputs, columns.inputs)), value)
    value = write.shape(value, products, -1, channels)
    if products <= MAX_SPLIT:
        parts = [f"{each.result}/p{number}" for number in range(products)]
        write.nodes.append(helper.make_node("Split", [value], parts, num_outputs=products, axis=0,
                                            name=f"{each.result}/split"))
        value = write.add("Concat", *(
            write.add("MatMul", part, write.constant(spectral[number]))
            for number, part in enumerate(parts)), axis=0)
    else:
        value = write.add("MatMul", value, write.constant(spectral))
    value = write.shape(value, products, -1)
    value = write.add("MatMul", write.constant(_kron(rows.outputs, columns.outputs)), value)
    value = write.shape(value, height, width, -1, kernels)
    value = write.add("Add", value, write.constant(each.bias))
    write.add("Transpose", value, perm=(2, 3, 0, 1), to=each.result)
    return write


def _kron(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Floats:
    return np.kron(rows, columns).astype(np.float32)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
