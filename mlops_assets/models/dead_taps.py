"""Taps of convolutions that only ever meet padding, left out of a program.

Over a map of one pixel a kernel of three by three multiplies one weight by a pixel and eight by
nothing, at every channel. Without those eight the program adds up the same products from a ninth
of the memory, which is what a lone image waits for.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from mlops_assets.models.convolutions import Convolution, convolutions, drop_unused


def trim(model: onnx.ModelProto) -> onnx.ModelProto:
    """The program without dead taps; an equal one where there are none."""
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    graph = inferred.graph
    for number, each in enumerate(convolutions(graph, fold=False)):
        rows = _live(each.weight.shape[2], each, 0)
        columns = _live(each.weight.shape[3], each, 1)
        kept = np.ascontiguousarray(each.weight[:, :, rows[0] : rows[1], columns[0] : columns[1]])
        if kept.shape == each.weight.shape:
            continue
        name = f"{each.node.input[1]}/live{number}"
        graph.initializer.append(numpy_helper.from_array(kept, name))
        each.node.input[1] = name
        before = [each.pads[0] - rows[0], each.pads[1] - columns[0]]
        behind = [
            max(0, (each.outputs[axis] - 1) * each.strides[axis] + kept.shape[2 + axis]
                - each.inputs[axis] - before[axis]) for axis in (0, 1)]
        others = [a for a in each.node.attribute if a.name not in ("pads", "kernel_shape")]
        del each.node.attribute[:]
        each.node.attribute.extend([
            *others, helper.make_attribute("pads", before + behind),
            helper.make_attribute("kernel_shape", list(kept.shape[2:]))])
    drop_unused(graph)
    del graph.value_info[:]
    onnx.checker.check_model(inferred)
    return inferred


def _live(taps: int, each: Convolution, axis: int) -> tuple[int, int]:
    """First and one past the last tap of an axis that meets a pixel of some output.

    Everything between is kept, and so much that no pad is negative.
    """
    size, pad, stride = each.inputs[axis], each.pads[axis], each.strides[axis]
    starts = [output * stride - pad for output in range(each.outputs[axis])]
    live = [tap for tap in range(taps) if any(0 <= start + tap < size for start in starts)]
    first, last = min(live, default=0), max(live, default=taps - 1)
    # A kernel that ends before the map does would need less than no padding behind it.
    needed = size + pad - (each.outputs[axis] - 1) * stride
    return min(first, pad), max(last + 1, min(taps, needed))
