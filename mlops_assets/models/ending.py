"""When a process of a training ends: with what started it, and at once when it is interrupted.

Its checkpoints are whole whenever it ends, so that nothing is lost. One that lived on would write
where the training that is started in its place writes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def end_with(parent: int) -> None:
    """End this process when its parent, whose process id is given, ends, also where that is killed.

    Linux alone tells of it (prctl(2)); elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have ended before this process asked to be told.
    if os.getppid() != parent:
        raise SystemExit(1)


def end_when_interrupted() -> None:
    """Let SIGINT end this process; Python's exception for it is lost where none can be raised.

    An interrupt that comes in the callback of a weak reference, as torch makes many, is printed
    and forgotten.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
