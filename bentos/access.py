"""The gate: who may call which route, and how often."""

from __future__ import annotations

import ipaddress
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Scope

from bentos.access_settings import AccessMisconfigured, AccessSettings, load_access_settings
from bentos.caller import ANONYMOUS, Caller, Needed
from bentos.credentials import KEY_PREFIX, read_credential
from bentos.guesses import Guesses
from bentos.keyring import KeyRing
from bentos.rates import LocalRates, Rates, SharedRates
from bentos.refusals import auth_is_off, missing_credential, missing_scope, too_many_requests
from bentos.settings import platform_home
from bentos.tokens import Tokens
from resources.api_keys import parse_rate
from resources.data_services import PLATFORM_DATABASE, database_url
from resources.platform_db import database_at

__all__ = ["AccessSettings", "Caller", "Gate", "Needed", "is_loopback"]


class Gate:
    """Admits requests. Used from one event loop, between ``start`` and ``close``."""

    def __init__(self, settings: AccessSettings, *, database_url: str) -> None:
        """Open nothing yet.

        Raises:
            ValueError: the shared secret of tokens can not be had.
            SQLAlchemyError: ``database_url`` names no known kind of database.
        """
        rate = parse_rate(settings.rate)
        url = settings.redis_url
        self._open: Final = settings.auth == "off"
        self._rates: Final[Rates] = (
            LocalRates() if url is None else SharedRates(url.get_secret_value())
        )
        self._guesses: Final = Guesses(parse_rate(settings.failed_rate))
        self._tokens: Final = Tokens(settings, rate=rate)
        self._keys: Final = KeyRing(
            database_url,
            refresh_seconds=settings.keys_refresh_seconds,
            stale_seconds=settings.keys_stale_seconds,
            default_rate=rate,
        )

    @classmethod
    def from_environment(cls) -> Gate:
        """The gate of this process: ``MLOPS_SERVICE_*`` and the platform's database.

        Raises:
            PlatformError: a setting is wrong, or settings contradict each other.
        """
        url = database_url(PLATFORM_DATABASE) or database_at(platform_home())
        settings = load_access_settings()
        try:
            return cls(settings, database_url=url)
        except (SQLAlchemyError, ModuleNotFoundError) as error:
            raise AccessMisconfigured(
                f"{PLATFORM_DATABASE} names no database that can be opened here: {error}"
            ) from error

    async def start(self) -> None:
        """Begin to follow the keys; a database that is away is no error here."""
        if not self._open:
            await self._keys.start()

    async def close(self) -> None:
        """Stop following, and give connections back."""
        await self._keys.close()
        self._tokens.close()
        await self._rates.close()

    async def admit(self, scope: Scope, needed: Needed) -> Caller:
        """Who calls, if that caller may: the head of an HTTP request is enough.

        Raises:
            Problem: 401 no valid credential, 403 not allowed, 429 too often, 400 several
                credentials, 503 the keys can not be read.
        """
        if self._open:
            return _admit_anonymous(scope)
        client = scope.get("client")
        address = client[0] if client else ""
        credential = read_credential(scope["headers"])
        if credential is None:
            raise missing_credential()
        if credential.startswith(KEY_PREFIX):
            holder = self._keys.find(credential)
        else:
            holder = await self._tokens.find(credential)
        if holder is None:
            raise await self._guesses.failed(address)
        caller = holder.caller
        self._guesses.check(address, caller.name)
        wait = await self._rates.hit(caller.name, holder.rate)
        if wait:
            raise too_many_requests(wait)
        if needed not in caller.scopes:
            raise missing_scope(needed)
        return caller


def _admit_anonymous(scope: Scope) -> Caller:
    server = scope.get("server")
    if server is None or not is_loopback(server[0]):
        raise auth_is_off()
    return ANONYMOUS


def is_loopback(address: str) -> bool:
    """Whether an address is one of this machine's own; names are not looked up."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
