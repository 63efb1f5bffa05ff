"""The credential in a request's headers, as bytes: a header may hold any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bentos.refusals import several_credentials
from resources.api_keys import PREFIX

KEY_PREFIX: Final = PREFIX.encode()
NO_TOKEN: Final = b""


def read_credential(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The one credential of a request: a key (it begins with ``mlk_``) or else a token.

    ``NO_TOKEN`` stands for one that can not be valid: another scheme, or no key in ``X-API-Key``.
    None: there is none.

    Raises:
        Problem: 400 several credentials that differ.
    """
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, text = value.partition(b" ")
            credential = text.strip(b" ") if scheme.lower() == b"bearer" else NO_TOKEN
        elif name == b"x-api-key":
            credential = value.strip(b" ")
            if not credential.startswith(KEY_PREFIX):
                credential = NO_TOKEN
        else:
            continue
        if found is not None and found != credential:
            raise several_credentials()
        found = credential
    return found
