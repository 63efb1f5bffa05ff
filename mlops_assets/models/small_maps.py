"""A second form of an exported program, faster over batches of small images.

Networks made for photos shrink a small image to maps of one to four pixels a side, where most of
what a convolution multiplies is padding. There it is rewritten into matrix products: the numbers
are the same but for the rounding of float32, which the export's parity check bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from mlops_assets.models.convolutions import Convolution, convolutions, drop_unused
from mlops_assets.models.toom_cook import MAX_SIZE, TAPS, row_of, spectral_weights

Floats = NDArray[np.float32]
# Products of so few positions are split, as ONNX Runtime packs only plain matrices beforehand.
MAX_SPLIT: Final = 9
MAX_DENSE_BYTES: Final = 16 << 20


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
    found = {each.result: (each, written) for each in convolutions(graph)
             if (written := _rewrite(each)) is not None}
    # Over one pixel a matrix product alone is not worth another form of the program.
    if not any(max(each.inputs) > 1 for each, _ in found.values()):
        return model, 0
    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    for node in graph.node:
        if node.output[0] not in found:
            nodes.append(node)
            continue
        each, written = found[node.output[0]]
        gone |= {each.node.output[0]} - {each.result}
        nodes += written.nodes
        graph.initializer.extend(written.constants)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(node for node in nodes if node.output[0] not in gone)
    drop_unused(graph)
    onnx.checker.check_model(inferred)
    return inferred, len(found)


def _is_square_product(each: Convolution) -> bool:
    return (each.weight.shape[2:] == (TAPS, TAPS) and each.strides == each.pads == (1, 1)
            and each.inputs == each.outputs and max(each.inputs) <= MAX_SIZE)


def _rewrite(each: Convolution) -> _Writer | None:
    """Matrix products for this one, or None."""
    if each.outputs == (1, 1):
        return _to_one_pixel(each)
    return _to_products(each) if _is_square_product(each) else None


def _to_one_pixel(each: Convolution) -> _Writer | None:
    """One output pixel sees each input pixel through one tap: a plain matrix product."""
    (top, left), (height, width) = each.pads, each.inputs
    seen = each.weight[:, :, top : top + height, left : left + width]
    channels = each.weight.shape[1]
    if 2 * seen.shape[2] * seen.shape[3] <= height * width:
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


def _to_products(each: Convolution) -> _Writer:
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
