"""Who calls, and what they may do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, get_args

from limits import RateLimitItem

Needed = Literal["predict", "explain", "feedback", "admin"]
ALL_SCOPES: Final[frozenset[str]] = frozenset(get_args(Needed))


@dataclass(frozen=True, slots=True)
class Caller:
    """An admitted caller: ``key:<id>``, ``jwt:<sub>`` or ``anonymous``, and every scope it has."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Holder:
    """The caller that a valid credential stands for, and the rate it is held to."""

    caller: Caller
    rate: RateLimitItem


ANONYMOUS: Final = Caller("anonymous", ALL_SCOPES)


def known_scopes(named: Collection[str]) -> frozenset[str]:
    """The scopes that ``named`` grants: unknown ones grant nothing, ``admin`` grants all."""
    return ALL_SCOPES if "admin" in named else ALL_SCOPES.intersection(named)
