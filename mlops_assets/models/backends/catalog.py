"""Every backend by its name."""

from __future__ import annotations

from collections.abc import Iterable

from mlops_assets.contracts.backends import BackendName
from mlops_assets.contracts.model_card import BATCHED_FILE, INT8_FILE, PROGRAM_FILE
from mlops_assets.models.backends.backend import Backend
from mlops_assets.models.backends.sessions import onnxruntime_cpu, onnxruntime_gpu, openvino_cpu
from mlops_assets.models.backends.torch_modules import aotinductor, torch_eager


def find_backends(names: Iterable[BackendName]) -> list[Backend]:
    """The named backends, in that order; none is loaded yet."""
    every = {each.name: each for each in (
        onnxruntime_cpu("onnxruntime", PROGRAM_FILE, "fp32"),
        onnxruntime_cpu("onnxruntime-batched", BATCHED_FILE, "fp32"),
        onnxruntime_cpu("onnxruntime-int8", INT8_FILE, "int8"),
        openvino_cpu("openvino", PROGRAM_FILE, "fp32"),
        openvino_cpu("openvino-bf16", PROGRAM_FILE, "bf16"),
        openvino_cpu("openvino-int8", INT8_FILE, "int8"),
        torch_eager(), aotinductor(),
        onnxruntime_gpu("onnxruntime-cuda"), onnxruntime_gpu("onnxruntime-tensorrt"),
    )}
    return [every[name] for name in dict.fromkeys(names)]
