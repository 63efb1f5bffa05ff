"""Wrong credentials an address: guessing is slow, and nobody else is locked out by it.

An address is the peer of the connection; what a client writes into ``X-Forwarded-For`` is not
looked at. An address over its limit is refused whatever it sends, so that a right guess looks like
a wrong one. Callers that were admitted from there before go on: behind a shared address, such as a
proxy's, one guesser must not stop those who work.
"""

from __future__ import annotations

import ipaddress
import time
from typing import Final

from limits import RateLimitItem

from bentos.notices import Notice
from bentos.problems import Problem
from bentos.rates import LocalRates
from bentos.refusals import invalid_credential, too_many_failures

MAX_ADMITTED: Final = 20_000
MAX_BLOCKED: Final = 20_000
IPV6_NETWORK: Final = 64


def network_of(address: str) -> str:
    """What failures are counted for: an IPv4 address, or an IPv6 network of one customer."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), IPV6_NETWORK), strict=False))


class Guesses:
    """Counts failed authentications. Used from one event loop.

    In this process only, also where rates are shared: what nobody vouches for causes no load on
    Redis, and can not push out the counts of callers.
    """

    def __init__(self, rate: RateLimitItem) -> None:
        self._rates: Final = LocalRates()
        self._rate: Final = rate
        self._notice = Notice("Too many wrong credentials, of late from %s")
        self._blocked: dict[str, float] = {}
        self._admitted: dict[tuple[str, str], None] = {}

    def check(self, address: str, name: str) -> None:
        """Let the caller ``name``, whose credential is valid, pass from ``address``.

        Raises:
            Problem: 429 the address is over its limit, and this caller was never admitted from it.
        """
        pair = (address, name)
        if pair in self._admitted:
            return
        if wait := self._wait(address):
            raise too_many_failures(wait)
        if len(self._admitted) >= MAX_ADMITTED:
            del self._admitted[next(iter(self._admitted))]
        self._admitted[pair] = None

    async def failed(self, address: str) -> Problem:
        """The answer to a wrong credential: 401, or 429 once there were too many."""
        if wait := self._wait(address):
            return too_many_failures(wait)
        network = network_of(address)
        wait = await self._rates.hit(network, self._rate)
        if not wait:
            return invalid_credential()
        self._notice.warn(network)
        if len(self._blocked) >= MAX_BLOCKED:
            del self._blocked[next(iter(self._blocked))]
        self._blocked[network] = time.monotonic() + wait
        return too_many_failures(wait)

    def _wait(self, address: str) -> float:
        if not self._blocked:
            return 0.0
        network = network_of(address)
        until = self._blocked.get(network, 0.0)
        left = until - time.monotonic()
        if left <= 0.0:
            self._blocked.pop(network, None)
            return 0.0
        return left
