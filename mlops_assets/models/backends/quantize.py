"""A program of int8 convolutions and matrix products, calibrated on training images."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from mlops_assets.features.statistics import evenly

CALIBRATION_BATCH: Final = 32
# Normalization, enlargement and softmax stay in fp32.
QUANTIZED: Final = ("Conv", "Gemm", "MatMul", "Add", "MaxPool", "GlobalAveragePool")


def write_int8(program: Path, path: Path, images: NDArray[np.uint8], *, rows: int) -> int:
    """Write a quantized program beside an fp32 one; equal inputs give equal bytes.

    Weights are int8 a channel in seven bits: a processor without VNNI adds pairs of products in 16
    bits, which larger weights overflow (ONNX Runtime, *Quantize ONNX models*). Activations are
    uint8 between the least and the largest value over ``rows`` of the training ``images``, evenly
    spaced. Quantized values stand between ``QuantizeLinear`` and ``DequantizeLinear``; how many
    operations were quantized is returned.

    Args:
        program: an ONNX file that takes ``images``.
        path: where to write.
        images: uint8 ``[N, H, W, C]`` of the training split; may be memory-mapped.
        rows: of them that calibrate.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
        """Batches of images, once."""

        def __init__(self) -> None:
            self._batches = _batches(images, rows)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            """The next input of the program, None at the end."""
            return next(self._batches, None)

    with tempfile.TemporaryDirectory(prefix="int8-") as scratch:
        folded, written = Path(scratch) / "folded.onnx", Path(scratch) / "int8.onnx"
        # Batch normalizations must be in the convolutions before ranges are taken.
        quant_pre_process(str(program), str(folded), skip_symbolic_shape=True)
        root, level = logging.getLogger(), logging.getLogger().level
        root.setLevel(logging.ERROR)
        try:
            quantization.quantize_static(
                str(folded), str(written), Calibration(), per_channel=True, reduce_range=True,
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8, op_types_to_quantize=list(QUANTIZED),
            )
        finally:
            root.setLevel(level)
        model = onnx.load(written)
    path.write_bytes(model.SerializeToString(deterministic=True))
    dequantized = {name for node in model.graph.node if node.op_type == "DequantizeLinear"
                   for name in node.output}
    return sum(node.op_type in QUANTIZED and node.input[0] in dequantized
               for node in model.graph.node)


def _batches(images: NDArray[np.uint8], rows: int) -> Iterator[dict[str, NDArray[np.uint8]]]:
    kept = evenly(len(images), rows)
    for start in range(0, len(kept), CALIBRATION_BATCH):
        yield {"images": np.ascontiguousarray(images[kept[start : start + CALIBRATION_BATCH]])}
