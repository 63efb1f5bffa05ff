"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")
CFS_QUOTA: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
CFS_PERIOD: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def cpu_quota() -> int:
    """Whole CPUs this process may use: the lesser of its affinity and its cgroup quota."""
    usable = len(os.sched_getaffinity(0))
    try:
        if CPU_MAX.exists():
            quota, period = CPU_MAX.read_text().split()
        else:
            quota, period = CFS_QUOTA.read_text().strip(), CFS_PERIOD.read_text().strip()
    except FileNotFoundError:
        return usable
    if quota in ("max", "-1"):
        return usable
    return max(1, min(usable, math.ceil(int(quota) / int(period))))
