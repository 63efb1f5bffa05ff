"""Who works on this machine, for the audit log."""

from __future__ import annotations

import getpass
import os


def operating_user() -> str:
    """The name of the OS user, or the number of one without a name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
