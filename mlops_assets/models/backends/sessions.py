"""Backends that run an ONNX file: the service's own sessions, and ONNX Runtime on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.backends import BackendName, Precision
from mlops_assets.contracts.model_card import BATCHED_FILE, INT8_FILE, PROGRAM_FILE
from mlops_assets.models.backends.backend import Backend, Loaded, Sources, Unable
from mlops_assets.models.programs import Outputs

Missing = Callable[[Sources], str | None]
ABSENT: Final[Mapping[str, str]] = {
    BATCHED_FILE: "this network has no form for batches",
    INT8_FILE: "no quantized program was exported; see `export.int8`",
}
OPENVINO: Final = ("openvino", "openvino-telemetry")
GPU: Final[Mapping[BackendName, tuple[str, Mapping[str, str]]]] = {
    "onnxruntime-cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
    "onnxruntime-tensorrt": ("TensorrtExecutionProvider", {"trt_fp16_enable": "False"}),
}


def _run(session: Any, images: NDArray[np.uint8]) -> Outputs:
    probabilities, embedding = session.run(
        ["probabilities", "embedding"], {"images": np.ascontiguousarray(images)})
    return probabilities, embedding


def _loaded(session: Any, program: Path) -> Loaded:
    return Loaded(partial(_run, session), program.stat().st_size)


def _without(program: str) -> Missing:
    """Says whether the exported model lacks this file."""
    return lambda sources: None if (sources.exported / program).is_file() else ABSENT[program]


def onnxruntime_cpu(name: BackendName, program: str, precision: Precision) -> Backend:
    """ONNX Runtime on the CPU, as the service runs it."""
    def load(sources: Sources) -> Loaded:
        from bentos.sessions import ModelRefused, open_session

        path = sources.exported / program
        try:
            return _loaded(open_session(path, sources.threads), path)
        except ModelRefused as error:
            raise Unable(str(error)) from error

    # The service itself takes the form for batches where it is faster, batch size by size.
    served = PROGRAM_FILE if program == BATCHED_FILE else program
    return Backend(name=name, precision=precision, engine="onnxruntime", program=served,
                   missing=_without(program), load=load)


def openvino_cpu(name: BackendName, program: str, precision: Precision) -> Backend:
    """OpenVINO on the CPU, in a stated precision.

    int8 is compared only: one image's answer may depend on how many are computed with it, by more
    than the parity that was measured at another batch size.
    """
    def missing(sources: Sources) -> str | None:
        from bentos.openvino_session import INSTALL, has_bf16, is_installed

        if not is_installed():
            return f"not installed: {INSTALL}"
        if precision == "bf16" and not has_bf16():
            return "this processor has no bf16"
        return _without(program)(sources)

    def load(sources: Sources) -> Loaded:
        from bentos.openvino_session import OpenVinoSession

        path = sources.exported / program
        return _loaded(OpenVinoSession(path, sources.threads, precision), path)

    return Backend(name=name, precision=precision, program=program,
                   engine=None if precision == "int8" else "openvino",
                   packages=OPENVINO, missing=missing, load=load)


def onnxruntime_gpu(name: BackendName) -> Backend:
    """ONNX Runtime on a GPU in fp32, without TF32; its builds for GPUs are no dependency here."""
    provider, options = GPU[name]

    def missing(_: Sources) -> str | None:
        import onnxruntime
        import torch

        if not torch.cuda.is_available():
            return "no GPU"
        if provider not in onnxruntime.get_available_providers():
            return f"this build of ONNX Runtime has no {provider}: install onnxruntime-gpu"
        return None

    def load(sources: Sources) -> Loaded:
        import onnxruntime

        path = sources.exported / PROGRAM_FILE
        try:
            session = onnxruntime.InferenceSession(
                str(path), providers=[(provider, dict(options)), "CPUExecutionProvider"])
        except Exception as error:
            # ONNX Runtime raises its own bare exception types, one a status code.
            raise Unable(str(error)) from error
        return _loaded(session, path)

    return Backend(name=name, precision="fp32", missing=missing, load=load)
