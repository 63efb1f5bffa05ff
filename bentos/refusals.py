"""How access is refused. None says which part of a credential was wrong."""

from __future__ import annotations

from typing import Final

from bentos.problems import Problem

CHALLENGE: Final = 'Bearer realm="mlops-assets"'


def missing_credential() -> Problem:
    """401: the request carries none."""
    return Problem(
        401,
        "unauthenticated",
        "send an API key or a token as `Authorization: Bearer ...`, or a key as `X-API-Key`",
        headers={"www-authenticate": CHALLENGE},
    )


def invalid_credential() -> Problem:
    """401: whatever is wrong with it, the answer is the same."""
    return Problem(
        401,
        "invalid-credential",
        "the credential is not valid",
        headers={"www-authenticate": f'{CHALLENGE}, error="invalid_token"'},
    )


def several_credentials() -> Problem:
    """400: two that differ, so that it is not clear who calls."""
    return Problem(400, "several-credentials", "the request carries several credentials; send one")


def missing_scope(needed: str) -> Problem:
    """403: a valid credential without the scope of this route."""
    return Problem(
        403,
        "missing-scope",
        f"the credential lacks the scope `{needed}`",
        headers={
            "www-authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"',
        },
    )


def auth_is_off() -> Problem:
    """403: without authentication, only connections on a loopback address are answered."""
    return Problem(
        403,
        "authentication-off",
        "authentication is off, so only connections to a loopback address are answered; "
        "set MLOPS_SERVICE_AUTH=on and send an API key (`mlops keys create`)",
    )


def too_many_requests(seconds: float) -> Problem:
    """429: the caller's rate is used up for ``seconds``."""
    return _later("rate-limited", "too many requests for this caller", seconds)


def too_many_failures(seconds: float) -> Problem:
    """429: this address sent too many wrong credentials, and waits ``seconds``."""
    return _later("too-many-failures", "too many wrong credentials from this address", seconds)


def _later(kind: str, detail: str, seconds: float) -> Problem:
    # The next whole second, so that a client that waits so long is never refused for a rounding.
    return Problem(429, kind, detail, headers={"retry-after": str(int(seconds) + 1)})
