"""How much memory this process holds, and has held at most. Linux only."""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
from pathlib import Path

import psutil

_SELF = Path("/proc/self")


def resident() -> int:
    """Bytes, without what only waits to be given back."""
    gc.collect()
    ctypes.CDLL(ctypes.util.find_library("c")).malloc_trim(0)
    return psutil.Process().memory_info().rss


def forget_peak() -> None:
    """From now on `peak` counts anew: man 5 proc, clear_refs."""
    (_SELF / "clear_refs").write_text("5")


def peak() -> int:
    """The most bytes at any moment since `forget_peak`."""
    lines = (_SELF / "status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
