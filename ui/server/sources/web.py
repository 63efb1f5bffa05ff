"""HTTP to the programs underneath: short limits, and one clear line when there is no answer."""

from __future__ import annotations

from typing import Any, Final

import httpx

from mlops_assets.contracts.errors import PlatformError

SECONDS: Final = 5.0


class Unreachable(PlatformError):
    """A program underneath does not answer, or not as it should."""


class Peer:
    """One program underneath."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.client = httpx.Client(base_url=url, timeout=SECONDS)

    def get(self, path: str) -> httpx.Response:
        """The answer to a GET.

        Raises:
            Unreachable: none came, or another status than 200.
        """
        try:
            response = self.client.get(path)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self.name} does not answer: {error or type(error).__name__}") \
                from error
        if response.status_code != httpx.codes.OK:
            raise Unreachable(f"{self.name} answers {path} with {response.status_code}")
        return response

    def json(self, path: str) -> Any:
        """The JSON body of the answer to a GET.

        Raises:
            Unreachable: no answer, another status than 200, or no JSON.
        """
        try:
            return self.get(path).json()
        except ValueError as error:
            raise Unreachable(f"{self.name} answers {path} with no JSON") from error
