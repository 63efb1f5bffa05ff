"""GPUs as NVIDIA's library tells; a machine without one has none of these metrics but the count."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric

LIBRARY: Final = "libnvidia-ml.so.1"


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong),
                ("used", ctypes.c_ulonglong))


class Gpus:
    """The GPUs of this machine (NVML, https://docs.nvidia.com/deploy/nvml-api)."""

    def __init__(self) -> None:
        self._library = _load()
        self._most = 0

    def collect(self) -> Iterator[Metric]:
        """How many there are, the most that there were, and what each does."""
        devices = self._devices()
        self._most = max(self._most, len(devices))
        yield GaugeMetricFamily("mlops_gpu_count", "GPUs that answer", value=len(devices))
        yield GaugeMetricFamily("mlops_gpu_count_max", "The most GPUs since the start",
                                value=self._most)
        busy = GaugeMetricFamily("mlops_gpu_utilization_ratio", "Share of time a GPU was busy",
                                 labels=["gpu"])
        used = GaugeMetricFamily("mlops_gpu_memory_used_bytes", "Memory in use", labels=["gpu"])
        for number, device in enumerate(devices):
            rates, memory = _Utilization(), _Memory()
            if self._call("nvmlDeviceGetUtilizationRates", device, ctypes.byref(rates)):
                busy.add_metric([str(number)], rates.gpu / 100)
            if self._call("nvmlDeviceGetMemoryInfo", device, ctypes.byref(memory)):
                used.add_metric([str(number)], float(memory.used))
        if devices:
            yield busy
            yield used

    def _call(self, name: str, *arguments: Any) -> bool:
        return self._library is not None and getattr(self._library, name)(*arguments) == 0

    def _devices(self) -> list[ctypes.c_void_p]:
        count = ctypes.c_uint(0)
        if not self._call("nvmlDeviceGetCount_v2", ctypes.byref(count)):
            return []
        found = []
        for number in range(count.value):
            device = ctypes.c_void_p()
            if self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(number),
                          ctypes.byref(device)):
                found.append(device)
        return found


def _load() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    return library if library.nvmlInit_v2() == 0 else None
