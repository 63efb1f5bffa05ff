"""A real, tiny model folder: an ONNX program with fixed weights, its card and golden answers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlops_assets.contracts.model_card import (
    CARD_FILE,
    EXPLAIN_FILE,
    GOLDEN_FILE,
    PROGRAM_FILE,
    REFERENCE_FILE,
    ModelCard,
    ModelOrigin,
    read_card,
)
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.provenance.hashing import sha256_bytes, sha256_file

CLASSES = ["ankle-boot", "bag", "coat", "dress", "shirt"]
EMBEDDING = 8


def write_model_dir(
    folder: Path, *, seed: int = 0, pixels: PixelSpec | None = None, name: str = "classifier",
    content: bytes | None = None, origin_dataset: str = "d" * 64,
) -> ModelCard:
    """Write a model whose answer depends on every pixel; equal seeds give equal bytes.

    ``content`` is another program of the same outputs, to be written instead.
    """
    pixels = pixels or PixelSpec(height=12, width=10, channels=1)
    folder.mkdir(parents=True)
    program = folder / PROGRAM_FILE
    program.write_bytes(_program(pixels, seed) if content is None else content)
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (6, *pixels.shape), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(program), providers=["CPUExecutionProvider"])
    probabilities, embedding = session.run(["probabilities", "embedding"], {"images": images})
    np.savez(folder / GOLDEN_FILE, images=images, probabilities=probabilities)
    np.savez(folder / REFERENCE_FILE, probabilities=probabilities, embedding=embedding)
    card = ModelCard(
        name=name,
        version=sha256_bytes(b"model" + program.read_bytes()),
        architecture="linear",
        classes=CLASSES,
        pixels=pixels,
        embedding_size=EMBEDDING,
        program_sha256=sha256_file(program),
        max_parity_error=0.0,
        metrics={"accuracy": 0.2},
        origin=ModelOrigin(
            dataset=origin_dataset,
            training_shards="s" * 64,
            trained_model="t" * 64,
            code_commit="c" * 40,
            config_sha256="f" * 64,
            lock_sha256="l" * 64,
            mlflow_run_id="run",
            dagster_run_id="run",
        ),
    )
    (folder / CARD_FILE).write_text(card.model_dump_json(indent=2))
    return card


def add_explanation(folder: Path) -> ModelCard:
    """Give a model folder an explaining program: the image in averages, and 0 for class 0."""
    card = read_card(folder)
    height, width = card.pixels.height // 3, card.pixels.width // 2
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[3, 2],
                             strides=[3, 2]),
            helper.make_node("ReduceMax", ["pooled", "channel"], ["map"], keepdims=0),
            helper.make_node("Cast", ["target"], ["share"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["map", "share"], ["heat"]),
        ],
        "explain",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [1, *card.pixels.shape]),
         helper.make_tensor_value_info("target", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, height, width])],
        [helper.make_tensor("channel", TensorProto.INT64, [1], [1])],
    )
    (folder / EXPLAIN_FILE).write_bytes(serialize(graph))
    sha256 = sha256_file(folder / EXPLAIN_FILE)
    explained = card.model_copy(update={"explain": "gradcam", "explain_sha256": sha256})
    (folder / CARD_FILE).write_text(explained.model_dump_json(indent=2))
    return explained


def serialize(graph: onnx.GraphProto) -> bytes:
    """The bytes of a checked program; equal graphs give equal bytes."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _program(pixels: PixelSpec, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    inputs = pixels.height * pixels.width * pixels.channels
    weights = {
        "scale": np.array(255.0, np.float32),
        "first": random.normal(0, 0.5, (inputs, EMBEDDING)).astype(np.float32),
        "second": random.normal(0, 0.3, (EMBEDDING, len(CLASSES))).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["real", "scale"], ["unit"]),
            helper.make_node("Flatten", ["unit"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "first"], ["embedding"]),
            helper.make_node("MatMul", ["embedding", "second"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *pixels.shape])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(CLASSES)]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", EMBEDDING]),
        ],
        [numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    return serialize(graph)


def encode(image: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    """The image, uint8 ``[H, W, C]``, in a container format."""
    worked, content = cv2.imencode(suffix, image)
    assert worked
    return content.tobytes()


def random_image(seed: int, pixels: PixelSpec) -> NDArray[np.uint8]:
    """A noise image of the given shape."""
    return np.random.default_rng(seed).integers(0, 256, pixels.shape, dtype=np.uint8)
