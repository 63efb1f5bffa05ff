"""Models that count instead of learning, so that what is wrong with one of them is known exactly.

The true class of an image is its first pixel modulo the number of classes. ``draw`` takes a number
from 0 to 999 from all pixels: by it a model errs on, or fails for, a known share of all images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlops_assets.contracts.pixels import PixelSpec
from tests.model_dir import CLASSES, EMBEDDING, serialize

SPEC: Final = PixelSpec(height=28, width=28, channels=1)
DRAWS: Final = 1000
_FACTORS: Final = np.random.default_rng(17).integers(1, DRAWS, SPEC.height * SPEC.width)
_SHARES: Final = np.array([0.08 / (len(CLASSES) - 1), 0.92], np.float32)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is wrong with a model.

    ``wrong`` thousandths of all images get the next class, for ``failing`` thousandths the program
    raises. ``shift`` moves every class by so many places. ``rounds`` of a loop that does nothing
    of use, one after another on one thread, come before each answer; not for black images, with
    which the service warms a program, so that it is loaded as fast as others.
    """

    wrong: int = 0
    failing: int = 0
    shift: int = 0
    rounds: int = 0


def truth(image: NDArray[np.uint8]) -> str:
    """The true class of an image."""
    return CLASSES[int(image.flat[0]) % len(CLASSES)]


def draw(image: NDArray[np.uint8]) -> int:
    """A number from 0 to 999, evenly over noise images; 0 for a black one."""
    return int(image.reshape(-1).astype(np.int64) @ _FACTORS) % DRAWS


def fails(recipe: Recipe, image: NDArray[np.uint8]) -> bool:
    """Whether the program of a recipe raises for an image."""
    return draw(image) >= DRAWS - recipe.failing


def program(recipe: Recipe) -> bytes:
    """The ONNX program of a recipe: probabilities and embedding of uint8 images."""
    whole: dict[str, int | list[int] | NDArray[np.int64]] = {
        "factors": _FACTORS, "draws": DRAWS, "classes": len(CLASSES), "row": [1],
        "start": [0], "one": [1], "features": [EMBEDDING], "wrong": recipe.wrong,
        "shift": recipe.shift, "fine": DRAWS - recipe.failing, "zero": [0],
    }
    constants = [numpy_helper.from_array(np.array(value, np.int64), name)
                 for name, value in whole.items()]
    constants.append(numpy_helper.from_array(_SHARES, "shares"))
    graph = helper.make_graph(
        [*_pixels(), *_class(), *_loop(recipe.rounds)], "counting",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *SPEC.shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(CLASSES)]),
         helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", EMBEDDING])],
        constants,
    )
    return serialize(graph)


def _pixels() -> list[onnx.NodeProto]:
    """From ``images`` to ``code`` (the first pixel), ``draw`` and ``embedding``."""
    return [
        helper.make_node("Flatten", ["images"], ["bytes"], axis=1),
        helper.make_node("Cast", ["bytes"], ["pixels"], to=TensorProto.INT64),
        helper.make_node("Slice", ["pixels", "start", "one", "row"], ["corner"]),
        helper.make_node("Squeeze", ["corner", "row"], ["code"]),
        helper.make_node("Mul", ["pixels", "factors"], ["products"]),
        helper.make_node("ReduceSum", ["products", "row"], ["total"], keepdims=0),
        helper.make_node("Mod", ["total", "draws"], ["draw"]),
        helper.make_node("Slice", ["pixels", "start", "features", "row"], ["front"]),
        helper.make_node("Cast", ["front"], ["embedding"], to=TensorProto.FLOAT),
    ]


def _class() -> list[onnx.NodeProto]:
    """From ``code`` and ``draw`` to ``certain``: most of 1 for one class."""
    return [
        # An index of 1 is out of bounds, which is an error of the run.
        helper.make_node("GreaterOrEqual", ["draw", "fine"], ["broken"]),
        helper.make_node("Cast", ["broken"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zero", "index"], ["nothing"]),
        helper.make_node("Less", ["draw", "wrong"], ["errs"]),
        helper.make_node("Cast", ["errs"], ["error"], to=TensorProto.INT64),
        helper.make_node("Add", ["code", "shift"], ["shifted"]),
        helper.make_node("Add", ["shifted", "error"], ["off"]),
        helper.make_node("Add", ["off", "nothing"], ["place"]),
        helper.make_node("Mod", ["place", "classes"], ["seen"]),
        helper.make_node("OneHot", ["seen", "classes", "shares"], ["certain"], axis=-1),
    ]


def _loop(rounds: int) -> list[onnx.NodeProto]:
    """From ``certain`` to ``probabilities``, which are the same after any number of rounds."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]),
         helper.make_node("Abs", ["value"], ["same"])],
        "round",
        [helper.make_tensor_value_info("number", TensorProto.INT64, []),
         helper.make_tensor_value_info("going", TensorProto.BOOL, []),
         helper.make_tensor_value_info("value", TensorProto.FLOAT, ["N", len(CLASSES)])],
        [helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("same", TensorProto.FLOAT, ["N", len(CLASSES)])],
    )
    constants = {"rounds": np.array(rounds), "most": np.array(1), "always": np.array(True)}
    return [
        *(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
          for name, value in constants.items()),
        helper.make_node("ReduceMax", ["pixels"], ["brightest"], keepdims=0),
        helper.make_node("Min", ["brightest", "most"], ["lit"]),
        helper.make_node("Mul", ["rounds", "lit"], ["times"]),
        helper.make_node("Loop", ["times", "always", "certain"], ["probabilities"], body=body),
    ]


CHAMPION: Final = Recipe(wrong=10)
BETTER: Final = Recipe()
PERMUTED: Final = Recipe(wrong=10, shift=2)
LESS_ACCURATE: Final = Recipe(wrong=60)
SLOW: Final = Recipe(wrong=10, rounds=500_000)
FAILING: Final = Recipe(wrong=10, failing=10)
FAILING_MORE: Final = Recipe(wrong=10, failing=30)
