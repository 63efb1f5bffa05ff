"""JWT bearer tokens. What is accepted is fixed by the settings, never by the token."""

from __future__ import annotations

import hashlib
import time
from typing import Any, Final

import jwt
from cachetools import TLRUCache
from limits import RateLimitItem

from bentos.access_settings import AccessSettings
from bentos.caller import Caller, Holder, known_scopes
from bentos.jwks import KeySet

MAX_TOKEN_BYTES: Final = 8192
MAX_SUBJECT: Final = 200
MAX_CACHED: Final = 10_000
CACHE_SECONDS: Final = 60.0
REQUIRED: Final = ("exp", "aud", "iss", "sub")

_Known = tuple[Holder, float]


def _until(_: bytes, known: _Known, now: float) -> float:
    return min(now + CACHE_SECONDS, known[1])


class Tokens:
    """Checks tokens, and remembers valid ones for ``CACHE_SECONDS``, at most until they expire."""

    def __init__(self, settings: AccessSettings, *, rate: RateLimitItem) -> None:
        """Every caller with a token is held to ``rate``.

        Raises:
            ValueError: the file of the shared secret is not there, or the secret too short.
        """
        self._settings: Final = settings
        self._rate: Final = rate
        self._secret: Final = settings.shared_secret()
        self._keys: Final = None if settings.jwt_jwks_url is None else KeySet(
            settings.jwt_jwks_url,
            algorithm=settings.jwt_algorithm or "",
            refresh_seconds=settings.jwks_refresh_seconds,
            cooldown_seconds=settings.jwks_cooldown_seconds,
            stale_seconds=settings.keys_stale_seconds,
            timeout_seconds=settings.jwks_timeout_seconds,
        )
        self._known: TLRUCache[bytes, _Known] = TLRUCache(MAX_CACHED, ttu=_until, timer=time.time)

    async def find(self, text: bytes) -> Holder | None:
        """Whom the token names; None for one that is not valid, for whatever reason.

        Raises:
            Problem: 503 the provider's keys are not there to check it with.
        """
        if self._settings.jwt_algorithm is None or not 0 < len(text) <= MAX_TOKEN_BYTES:
            return None
        digest = hashlib.sha256(text).digest()
        known = self._known.get(digest)
        if known is not None:
            return known[0]
        claims = await self._claims(text)
        holder = None if claims is None else self._holder(claims)
        if claims is not None and holder is not None:
            self._known[digest] = (holder, float(claims["exp"]))
        return holder

    def close(self) -> None:
        """Stop fetching keys."""
        if self._keys is not None:
            self._keys.close()

    async def _claims(self, text: bytes) -> dict[str, Any] | None:
        algorithm = self._settings.jwt_algorithm or ""
        try:
            header = jwt.get_unverified_header(text)
            if header.get("alg") != algorithm:
                return None
            key: jwt.PyJWK | bytes | None = self._secret
            if self._keys is not None:
                key = await self._keys.find(header.get("kid", ""))
            if key is None:
                return None
            return jwt.decode(
                text,
                key,
                algorithms=[algorithm],
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                leeway=self._settings.jwt_leeway_seconds,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError:
            # Which check failed is nobody's business: the answer is the same for all.
            return None

    def _holder(self, claims: dict[str, Any]) -> Holder | None:
        subject, scopes = claims["sub"], claims.get("scope", claims.get("scp", ""))
        named = scopes.split() if isinstance(scopes, str) else scopes
        if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
            return None
        if not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
            return None
        return Holder(Caller(f"jwt:{subject}", known_scopes(named)), self._rate)
