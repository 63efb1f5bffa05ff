"""Who asks, and whether a page of ours made them ask.

Without users the console answers on loopback alone, to whoever has this machine. With users it
asks for a name; what a person may do follows from their role. Changes need the token that ``/me``
gives, which no other site can read, and come from a page of this host. A name in ``Host`` that is
not this console's is refused: that is how a page elsewhere would reach a loopback port (DNS
rebinding).
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, Response
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from mlops_assets.contracts.loopback import LOOPBACK_NAMES
from mlops_assets.contracts.pages import DAGSTER_PAGES, MLFLOW_PAGES
from resources.console_users import ROLES, ConsoleUsers, Role
from resources.person import operating_user
from ui.server.settings import Console
from ui.server.single_sign_on import SingleSignOn

COOKIE: Final = "mlops_console"
CSRF_HEADER: Final = "x-csrf-token"
SESSION_SECONDS: Final = 12 * 3600
RECHECK_SECONDS: Final = 60.0
TRIES: Final = RateLimitItemPerMinute(10)
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# No page of another site may even look at these; it may only lead to a page of Dagster's or
# MLflow's.
ANSWERS: Final = ("/api/", f"{DAGSTER_PAGES}/", f"{MLFLOW_PAGES}/")

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "style-src 'self'; script-src 'self'; connect-src 'self'; font-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks."""

    name: str
    role: Role
    session: str


@dataclass(slots=True)
class _Session:
    name: str
    role: Role
    ends: float
    checked: float
    own: bool


class Guard:
    """Sessions of one console; they end with it."""

    def __init__(
        self, console: Console, users: ConsoleUsers, single_sign_on: SingleSignOn | None = None
    ) -> None:
        self._console, self._users = console, users
        self.single_sign_on = single_sign_on
        self._secret = secrets.token_bytes(32)
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        self._tries = FixedWindowRateLimiter(MemoryStorage())
        self.passwords = users.count() > 0
        self.login_required = users.count() > 0 or single_sign_on is not None

    @property
    def must_have_users(self) -> bool:
        """Whether others can reach this console, and nobody is known who may."""
        return not self._console.loopback and not self.login_required

    def csrf(self, person: Person) -> str:
        """The token that changes of a person's session carry."""
        return hmac.new(self._secret, person.session.encode(), sha256).hexdigest()

    def person(self, request: Request) -> Person:
        """Who asks.

        Raises:
            HTTPException: 401 without a session.
        """
        if not self.login_required:
            return Person(operating_user(), "admin", "local")
        token = request.cookies.get(COOKIE, "")
        session, now = self._sessions.get(token), time.monotonic()
        if session is None or session.ends < now:
            self._forget(token)
            raise HTTPException(401, "sign in first")
        if session.own and now - session.checked > RECHECK_SECONDS:
            user = self._users.find(session.name)
            if user is None:
                self._forget(token)
                raise HTTPException(401, "sign in first")
            session.role, session.checked = user.role, now
        return Person(session.name, session.role, token)

    def sign_in(self, request: Request, response: Response, name: str, password: str) -> Person:
        """Begin a session.

        Raises:
            HTTPException: 401 for a wrong name or password, 429 after too many tries.
        """
        where = request.client.host if request.client else ""
        if not self._tries.hit(TRIES, where) or not self._tries.hit(TRIES, f"name {name}"):
            raise HTTPException(429, "too many tries; wait a minute", {"retry-after": "60"})
        user = self._users.sign_in(name, password)
        if user is None:
            raise HTTPException(401, "the name or the password is wrong")
        return self.admit(request, response, user.name, user.role)

    def admit(
        self, request: Request, response: Response, name: str, role: Role, *, own: bool = True
    ) -> Person:
        """Begin a session; ``own`` is a user that the console itself knows."""
        token, now = secrets.token_urlsafe(32), time.monotonic()
        with self._lock:
            self._sessions = {
                key: each for key, each in self._sessions.items() if each.ends > now}
            self._sessions[token] = _Session(name, role, now + SESSION_SECONDS, now, own)
        response.set_cookie(COOKIE, token, max_age=SESSION_SECONDS, httponly=True,
                            samesite="strict", secure=self.secure(request))
        return Person(name, role, token)

    def secure(self, request: Request) -> bool:
        """Whether the browser speaks HTTPS, to the console or to what stands before it."""
        known = self.single_sign_on
        return request.url.scheme == "https" or (
            known is not None and known.settings.public_url.startswith("https:"))

    def sign_out(self, request: Request, response: Response) -> None:
        """End a session."""
        self._forget(request.cookies.get(COOKIE, ""))
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _forget(self, token: str) -> None:
        with self._lock:
            self._sessions.pop(token, None)

    def check_origin(self, request: Request) -> None:
        """That the request was made to this console, and by no other site's page.

        Raises:
            HTTPException: 403 for another site's page, 421 for another host.
        """
        host = _hostname(request.headers.get("host", ""))
        # What stands before the console gives it this name, or its own.
        public = urlsplit(
            self.single_sign_on.settings.public_url if self.single_sign_on else "")
        if self._console.loopback and host not in LOOPBACK_NAMES | {public.hostname}:
            raise HTTPException(421, f"`{host[:60]}` is not this console's name")
        led = request.headers.get("sec-fetch-mode") == "navigate" and \
            not request.url.path.startswith("/api/")
        if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
                request.method not in SAFE
                or (request.url.path.startswith(ANSWERS) and not led)):
            raise HTTPException(403, "another site's page may not ask here")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc not in (
                request.headers.get("host"), public.netloc or None):
            raise HTTPException(403, "another site's page may not ask here")

    def check_change(self, request: Request, person: Person, least: Role) -> None:
        """That a person may make a change, and that their own page asked for it.

        Raises:
            HTTPException: 403.
        """
        if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(),
                                   self.csrf(person).encode()):
            raise HTTPException(403, f"send the token of /api/v1/me as {CSRF_HEADER}")
        if ROLES.index(person.role) < ROLES.index(least):
            raise HTTPException(403, f"this needs the role {least}; {person.name} is "
                                     f"{person.role}")


def _hostname(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""
