"""Which slot answers a client: the same client the same slot, by the weights of the rollout."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_RANGE: Final = 1 << 64


def position(client: str, salt: str) -> float:
    """Where a client stands, 0 to 1, uniformly over clients and anew for each ``salt``."""
    digest = blake2b(client.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / _RANGE


def goes_to_challenger(client: str, *, weight: float, salt: str) -> bool:
    """Whether the challenger, with this share of traffic, answers ``client``.

    Whoever it answers at one weight it also answers at every larger one, so a canary that grows
    takes nobody back and forth. ``salt`` is the challenger's tag: each rollout draws others.
    """
    if weight <= 0.0:
        return False
    return weight >= 1.0 or position(client, salt) < weight
