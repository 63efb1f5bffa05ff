"""The keys that an identity provider signs with, from its JWKS address."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import jwt

from bentos.notices import Notice
from bentos.problems import unavailable


class KeySet:
    """Keys by their id, fetched in a thread of its own, one fetch at a time.

    They are fetched again when they are ``refresh_seconds`` old or an unknown id is asked for, but
    never twice within ``cooldown_seconds``, whether the fetch succeeded or not: a flood of made-up
    ids is no flood for the provider. While the provider is away, the keys fetched last stay valid
    until they are ``stale_seconds`` old.
    """

    def __init__(
        self,
        url: str,
        *,
        algorithm: str,
        refresh_seconds: float,
        cooldown_seconds: float,
        stale_seconds: float,
        timeout_seconds: float,
    ) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=timeout_seconds)
        self._algorithm: Final = algorithm
        self._refresh_seconds: Final = refresh_seconds
        self._cooldown_seconds: Final = cooldown_seconds
        self._stale_seconds: Final = stale_seconds
        self._timeout_seconds: Final = timeout_seconds
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = -math.inf
        self._tried_at = -math.inf
        self._away = Notice("The keys that sign tokens can not be fetched: %s")
        self._fetching = asyncio.Lock()
        # Its own: a provider that never answers must not use up the threads that decode images.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jwks")

    async def find(self, kid: str) -> jwt.PyJWK | None:
        """The key ``kid``, or None where the provider has none of that id.

        Raises:
            Problem: 503 the keys were never fetched, or too long ago.
        """
        if not self._is_fresh(kid):
            async with self._fetching:
                rested = time.monotonic() - self._tried_at >= self._cooldown_seconds
                if rested and not self._is_fresh(kid):
                    await self._fetch()
        if time.monotonic() - self._read_at > self._stale_seconds:
            raise unavailable("token-keys-unavailable", "tokens can not be checked; try again")
        return self._keys.get(kid)

    def close(self) -> None:
        """Stop the thread; a fetch that runs is left to its timeout."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _is_fresh(self, kid: str) -> bool:
        return kid in self._keys and time.monotonic() - self._read_at < self._refresh_seconds

    async def _fetch(self) -> None:
        self._tried_at = began = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                found = await loop.run_in_executor(self._thread, self._client.get_jwk_set)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            self._away.warn(error or type(error).__name__)
            return
        self._keys = {
            key.key_id: key
            for key in found.keys
            if key.key_id
            and key.public_key_use in ("sig", None)
            and key.algorithm_name == self._algorithm
        }
        self._read_at = began
