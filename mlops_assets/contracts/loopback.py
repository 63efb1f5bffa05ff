"""Which hosts only this machine reaches, and the names by which a browser on it knows them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def binds_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
