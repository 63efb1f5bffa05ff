"""What the console tells of GPUs, over a stand-in for NVIDIA's library."""

from __future__ import annotations

from typing import Any

import pytest

from ui.server import gpus
from ui.server.gpus import Gpus


class Library:
    """Two GPUs with NVML's calls; a call on one that is lost fails (NVML_ERROR_GPU_IS_LOST)."""

    lost: frozenset[int] = frozenset()

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:  # noqa: N802
        if index.value in self.lost:
            return 15
        device._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetUtilizationRates(self, device: Any, rates: Any) -> int:  # noqa: N802
        rates._obj.gpu = 40 * device.value
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:  # noqa: N802
        memory._obj.used = device.value << 30
        return 0


def told(found: Gpus) -> dict[str, dict[str, float]]:
    return {metric.name: {each.labels.get("gpu", ""): each.value for each in metric.samples}
            for metric in found.collect()}


def test_a_gpu_that_is_lost_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(gpus, "_load", lambda: library)
    found = Gpus()
    assert told(found) == {
        "mlops_gpu_count": {"": 2}, "mlops_gpu_count_max": {"": 2},
        "mlops_gpu_utilization_ratio": {"0": 0.4, "1": 0.8},
        "mlops_gpu_memory_used_bytes": {"0": 1 << 30, "1": 2 << 30}}
    library.lost = frozenset({1})
    after = told(found)
    assert (after["mlops_gpu_count"], after["mlops_gpu_count_max"]) == ({"": 1}, {"": 2})
    assert after["mlops_gpu_utilization_ratio"] == {"0": 0.4}


def test_a_machine_without_gpus_tells_so_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "LIBRARY", "libno-such-library.so.0")
    assert told(Gpus()) == {"mlops_gpu_count": {"": 0}, "mlops_gpu_count_max": {"": 0}}
