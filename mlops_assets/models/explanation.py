"""Grad-CAM as an ONNX program, so that a service without torch can explain its answers.

The gradient is traced into forward operations (see ``backward_ops``), which ONNX can hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from mlops_assets.contracts.model_card import EXPLAIN_FILE, Explain
from mlops_assets.models.backward_ops import decompositions
from mlops_assets.models.grad_cam import Heat, Layer, Unexplainable, find_layer, grad_cam
from mlops_assets.models.network import ImageNetwork
from mlops_assets.models.onnx_file import write_onnx

MAX_ERROR: Final = 1e-3
COMPARED: Final = 4


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was exported: ``explain`` is ``occlusion`` when there is no program, and why not.

    ``error`` is the largest difference from torch, relative to the largest heat.
    """

    explain: Explain
    reason: str = ""
    layer: Layer | None = None
    error: float = 0.0

    def facts(self) -> dict[str, str | float]:
        """What a person wants to know of it."""
        if self.layer is None:
            return {"explain": self.explain, "explain_reason": self.reason}
        rows, columns = self.layer.grid
        return {"explain": self.explain, "explain_method": self.layer.method,
                "explain_layer": self.layer.name, "explain_grid": f"{rows} x {columns}",
                "explain_error": self.error}


def export_explanation(
    network: ImageNetwork, images: NDArray[np.uint8], folder: Path
) -> Explanation:
    """Write ``explain.onnx`` into ``folder`` and compare it with torch on a few ``images``.

    The program takes ``images`` uint8 ``[1, H, W, C]`` and ``target`` int64 ``[1]``, and gives
    ``heat`` float32 ``[1, rows, columns]``, not negative. Images are uint8 ``[N, H, W, C]``.
    Where an architecture can not be exported so, no file is left and the result says why.
    """
    path = folder / EXPLAIN_FILE
    try:
        layer = find_layer(network, images[0])
        heat = grad_cam(network, layer)
        example = (torch.from_numpy(images[:1].copy()), torch.zeros(1, dtype=torch.int64))
        write_onnx(_trace(heat, example), example, path, inputs=("images", "target"),
                   outputs=("heat",))
        difference = _compare(network, heat, path, images)
    except OSError:
        raise
    except Exception as error:
        # A thousand architectures fail in as many ways, and a model without this is still a model.
        path.unlink(missing_ok=True)
        return Explanation("occlusion", _reason(error))
    return Explanation("gradcam", layer=layer, error=difference)


def _trace(heat: Heat, example: tuple[Tensor, Tensor]) -> nn.Module:
    """``heat`` as a graph of forward operations."""
    plain = torch.func.functionalize(heat, remove="mutations")
    traced = make_fx(plain, decomposition_table=decompositions())(*example)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


def _compare(
    network: ImageNetwork, heat: Heat, path: Path, images: NDArray[np.uint8]
) -> float:
    """Largest difference between program and torch, relative to the largest heat.

    Raises:
        Unexplainable: it is above ``MAX_ERROR``.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = difference = 0.0
    for image in images[:COMPARED]:
        pixels = torch.from_numpy(image[None].copy())
        with torch.no_grad():
            target = network(pixels)[0].argmax(1)
        wanted = heat(pixels, target).numpy()
        (found,) = session.run(["heat"], {"images": pixels.numpy(), "target": target.numpy()})
        largest = max(largest, float(wanted.max()))
        difference = max(difference, float(np.abs(wanted - found).max()))
    error = difference / largest if largest else difference
    if not error <= MAX_ERROR:
        raise Unexplainable(f"the program differs from torch by {error:.2g} of the largest heat")
    return error


def _reason(error: Exception) -> str:
    """One line of the exporter's many: the innermost cause."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
