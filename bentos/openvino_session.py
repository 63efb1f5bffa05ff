"""OpenVINO behind the part of ONNX Runtime's session that the service uses. Optional."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from bentos.cpus import cpu_quota
from mlops_assets.contracts.backends import Precision

Result = TypeVar("Result")
INSTALL: Final = "pip install 'mlops-assets[openvino]'"
# Quantized parts run as the program says; what is left of it runs in fp32.
HINTS: Final[Mapping[Precision, str]] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


def is_installed() -> bool:
    """Whether OpenVINO can be imported here."""
    return find_spec("openvino") is not None


def import_openvino() -> Any:
    """The module ``openvino``, without its telemetry.

    By itself each import reports to a web service. Where ``openvino_telemetry`` can not be
    imported it takes a stub of its own instead, and reports nothing.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    return importlib.import_module("openvino")


def _apart(call: Callable[[], Result]) -> Result:
    """What ``call`` gives, from a thread that ends with it.

    OpenVINO's CPU plugin (2026.4) leaves its thread with a signal stack that it has freed: the next
    signal there, a SIGTERM in the main thread, would be a segmentation fault.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def has_bf16() -> bool:
    """Whether this processor computes bf16 itself; elsewhere OpenVINO refuses to."""
    openvino = import_openvino()
    capabilities = _apart(
        lambda: openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return "BF16" in capabilities


class OpenVinoSession:
    """A compiled program. Several threads may ``run`` it at once."""

    def __init__(self, program: Path, threads: int, precision: Precision = "fp32") -> None:
        """Compile an ONNX file for the CPU; a run uses ``threads``.

        The precision is always stated: by itself OpenVINO takes bf16 where there is bf16.

        Raises:
            ImportError: OpenVINO is not installed.
            RuntimeError: it can not compile the program.
        """
        cores = max(threads, cpu_quota())
        openvino = import_openvino()
        self._compiled: Final[Any] = _apart(lambda: openvino.Core().compile_model(
            str(program), "CPU", {
                "INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": cores,
                "NUM_STREAMS": max(1, cores // threads), "ENABLE_CPU_PINNING": False,
            }))
        self._local: Final = threading.local()

    def run(
        self, names: Sequence[str] | None, given: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[np.float32]]:
        """Outputs by name, or all of them; as ``onnxruntime.InferenceSession.run``.

        Raises:
            RuntimeError: the input does not fit.
        """
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        results = request.infer(dict(given), share_inputs=True)
        wanted = names or [output.any_name for output in self._compiled.outputs]
        return [results[name] for name in wanted]
