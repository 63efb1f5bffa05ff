"""The rewritten form of a program computes what the program computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlops_assets.models.small_maps import specialize
from mlops_assets.models.toom_cook import MAX_SIZE, row_of

CHANNELS, KERNELS = 5, 7


def run(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"x": images})[0]
    return found


def program(
    sides: tuple[int, int], *, kernel: int = 3, stride: int = 1, pad: int = 1, norm: bool = False,
    bias: bool = True, branch: bool = False,
) -> onnx.ModelProto:
    """One convolution, perhaps with batch normalization, perhaps read by another node as well."""
    chance = np.random.default_rng(7)
    constants = {"w": chance.normal(size=(KERNELS, CHANNELS, kernel, kernel)).astype(np.float32)}
    inputs = ["x", "w"]
    if bias:
        constants["b"] = chance.normal(size=KERNELS).astype(np.float32)
        inputs.append("b")
    nodes = [helper.make_node("Conv", inputs, ["c"], strides=[stride] * 2, pads=[pad] * 4,
                              kernel_shape=[kernel] * 2)]
    last = "c"
    if norm:
        for name in ("scale", "shift", "mean", "variance"):
            constants[name] = chance.uniform(0.5, 2, KERNELS).astype(np.float32)
        nodes.append(helper.make_node(
            "BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"]))
        last = "n"
    if branch:
        nodes += [helper.make_node("Relu", ["c"], ["r"]),
                  helper.make_node("Add", [last, "r"], ["s"])]
        last = "s"
    nodes.append(helper.make_node("Identity", [last], ["y"]))
    graph = helper.make_graph(
        nodes, "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", CHANNELS, *sides])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("size", range(1, MAX_SIZE + 1))
def test_the_identities_are_exact(size: int) -> None:
    row = row_of(size)
    chance = np.random.default_rng(size)
    values, taps = chance.integers(-9, 9, size), chance.integers(-9, 9, 3)
    expected = [sum(taps[tap] * values[at + tap - 1] for tap in range(3)
                    if 0 <= at + tap - 1 < size) for at in range(size)]
    found = row.outputs @ ((row.taps @ taps) * (row.inputs @ values))
    assert np.abs(found - expected).max() < 1e-12 * 9**4
    assert row.products < 3 * size or size == 1


@pytest.mark.parametrize("size", [0, MAX_SIZE + 1])
def test_there_is_none_for_other_sizes(size: int) -> None:
    with pytest.raises(ValueError, match=f"rows of {size}"):
        row_of(size)


@pytest.mark.parametrize("rows", [1, 2, 33])
@pytest.mark.parametrize(("sides", "more"), [
    ((2, 2), {}), ((3, 3), {}), ((4, 4), {}), ((2, 4), {}), ((4, 1), {}),
    ((2, 2), {"norm": True}), ((4, 4), {"norm": True, "bias": False}),
    ((4, 4), {"norm": True, "branch": True}), ((4, 4), {"branch": True}),
    ((2, 2), {"stride": 2}), ((2, 2), {"kernel": 2, "pad": 0}),
    ((2, 2), {"kernel": 5, "pad": 2, "stride": 3}),
    ((3, 3), {"kernel": 5, "pad": 2, "stride": 3}),
])
def test_the_rewritten_program_gives_the_same(
    sides: tuple[int, int], more: dict[str, int | bool], rows: int
) -> None:
    model = program(sides, **more)  # type: ignore[arg-type]
    rewritten, count = specialize(model)
    assert count == 1
    assert "Conv" not in {node.op_type for node in rewritten.graph.node} or "branch" in more
    images = np.random.default_rng(1).normal(size=(rows, CHANNELS, *sides)).astype(np.float32)
    expected, found = run(model, images), run(rewritten, images)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    again, _ = specialize(model)
    assert again.SerializeToString(deterministic=True) == rewritten.SerializeToString(
        deterministic=True)


@pytest.mark.parametrize(("sides", "more"), [
    ((7, 7), {}), ((5, 4), {}), ((4, 4), {"stride": 2}), ((4, 4), {"kernel": 5, "pad": 2}),
    ((2, 2), {"kernel": 1, "pad": 0, "stride": 2}), ((1, 1), {"kernel": 1, "pad": 0}),
    ((1, 1), {}), ((4, 4), {"pad": 0})])
def test_what_would_gain_nothing_stays(
    sides: tuple[int, int], more: dict[str, int | bool]
) -> None:
    model = program(sides, **more)  # type: ignore[arg-type]
    rewritten, count = specialize(model)
    assert count == 0
    assert [node.op_type for node in rewritten.graph.node] == ["Conv", "Identity"]
