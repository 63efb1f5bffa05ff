"""A program without dead taps answers what it answered with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from mlops_assets.models.dead_taps import trim
from tests.unit.test_small_maps import CHANNELS, KERNELS, program, run


@given(
    sides=st.tuples(st.integers(1, 6), st.integers(1, 6)), kernel=st.integers(1, 7),
    stride=st.integers(1, 4), pad=st.integers(0, 3), bias=st.booleans(), norm=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_answer_changes(
    sides: tuple[int, int], kernel: int, stride: int, pad: int, bias: bool, norm: bool
) -> None:
    assume(pad < kernel <= min(sides) + 2 * pad)  # ONNX knows no other convolution
    model = program(sides, kernel=kernel, stride=stride, pad=pad, bias=bias, norm=norm)
    images = np.random.default_rng(1).normal(size=(3, CHANNELS, *sides)).astype(np.float32)
    expected, found = run(model, images), run(trim(model), images)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize(("sides", "more", "kept"), [
    ((1, 1), {}, (1, 1)), ((2, 2), {"stride": 2}, (2, 2)), ((2, 2), {}, (3, 3)),
    ((1, 4), {}, (1, 3)), ((2, 2), {"kernel": 7, "pad": 3}, (3, 3)), ((7, 7), {}, (3, 3)),
])
def test_only_taps_that_meet_a_pixel_are_kept(
    sides: tuple[int, int], more: dict[str, int | bool], kept: tuple[int, int]
) -> None:
    model = program(sides, **more)  # type: ignore[arg-type]
    trimmed = trim(model)
    (node,) = [each for each in trimmed.graph.node if each.op_type == "Conv"]
    (weight,) = [numpy_helper.to_array(each) for each in trimmed.graph.initializer
                 if each.name == node.input[1]]
    assert weight.shape == (KERNELS, CHANNELS, *kept)
    assert len(trimmed.graph.initializer) == len(model.graph.initializer)
