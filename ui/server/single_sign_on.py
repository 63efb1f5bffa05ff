"""Sign-in with an identity provider: OpenID Connect, the authorization code flow with PKCE.

The provider says who somebody is and which groups they are in; which group may do what is set here.
A flow belongs to the browser that began it (a cookie holds its state), its code is worth nothing
without the verifier that never left the console (RFC 7636), and the token must be signed by a key
of the provider, for this client, now, and for this flow (OpenID Connect Core 3.1.3.7).
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
from fastapi import HTTPException
from jwt.utils import base64url_encode

from mlops_assets.contracts.errors import PlatformError
from resources.console_users import Role

PATH: Final = "/oidc"
FLOW_SECONDS: Final = 600
MOST_FLOWS: Final = 1000
TIMEOUT: Final = 10.0
LEEWAY_SECONDS: Final = 60
# Signed with a key of the provider's alone; never `none`, never a secret that both know.
ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
                               "ES384", "ES512", "EdDSA"})
NEEDED: Final = ("exp", "iat", "iss", "aud", "sub")
MAX_NAME: Final = 100
PREFIX: Final = "MLOPS_CONSOLE_OIDC_"


class BadProvider(PlatformError):
    """The settings of single sign-on do not go together."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """The provider, this client of it, and the groups that have roles.

    ``public_url`` is where people find the console: the provider sends them back there, whatever
    a request calls this host.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    public_url: str
    roles: Mapping[str, Role]
    claim: str = "groups"

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ) -> ProviderSettings | None:
        """From ``MLOPS_CONSOLE_OIDC_*``; None where there is no issuer.

        Raises:
            BadProvider: something is missing.
        """
        def told(name: str) -> str:
            return variables.get(PREFIX + name, "").strip()

        if not told("ISSUER"):
            return None
        roles: dict[str, Role] = {}
        ranks: tuple[Role, ...] = ("viewer", "operator", "admin")
        for role in ranks:  # of several groups the highest role counts
            roles |= {group.strip(): role
                      for group in told(f"{role.upper()}S").split(",") if group.strip()}
        secret, file = told("CLIENT_SECRET"), told("CLIENT_SECRET_FILE")
        if file:
            try:
                secret = Path(file).read_text().strip()
            except OSError as error:
                raise BadProvider(f"{PREFIX}CLIENT_SECRET_FILE: {error}") from error
        found = cls(told("ISSUER").rstrip("/"), told("CLIENT_ID"), secret,
                    told("PUBLIC_URL").rstrip("/"), roles, told("CLAIM") or "groups")
        missing = [name for name, value in (
            ("CLIENT_ID", found.client_id), ("CLIENT_SECRET", found.client_secret),
            ("PUBLIC_URL", found.public_url), ("VIEWERS, _OPERATORS or _ADMINS", roles))
            if not value]
        if missing:
            raise BadProvider(f"single sign-on with {found.issuer} needs {PREFIX}{missing[0]}")
        for url in (found.issuer, found.public_url):
            parts = urlsplit(url)
            if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
                raise BadProvider(f"{url} must be https")
        return found


@dataclass(frozen=True, slots=True)
class _Flow:
    nonce: str
    verifier: str
    ends: float


@dataclass(frozen=True, slots=True)
class Known:
    """Whom the provider named, and what they may do."""

    name: str
    role: Role


class SingleSignOn:
    """Flows of one console; they end with it."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings: Final = settings
        self._client: Final = httpx.Client(timeout=TIMEOUT)
        self._flows: dict[str, _Flow] = {}
        self._facts: dict[str, Any] = {}
        self._known_keys: jwt.PyJWKClient | None = None

    def close(self) -> None:
        """Close the connections to the provider."""
        self._client.close()

    def begin(self) -> tuple[str, str]:
        """Where to send the browser, and the state that it must bring back.

        Raises:
            HTTPException: 502 the provider does not answer, 503 too many have begun.
        """
        facts, now = self._provider(), time.monotonic()
        self._flows = {state: flow for state, flow in self._flows.items() if flow.ends > now}
        if len(self._flows) >= MOST_FLOWS:
            raise HTTPException(503, "too many people are signing in", {"retry-after": "60"})
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        self._flows[state] = _Flow(nonce, verifier, now + FLOW_SECONDS)
        challenge = base64url_encode(sha256(verifier.encode()).digest()).decode()
        return f"{facts['authorization_endpoint']}?" + urlencode({
            "response_type": "code", "client_id": self.settings.client_id,
            "redirect_uri": self._back, "scope": "openid profile email",
            "state": state, "nonce": nonce, "code_challenge": challenge,
            "code_challenge_method": "S256"}), state

    def finish(self, state: str, of_browser: str, code: str) -> Known:
        """Who has signed in, when the browser has come back.

        Raises:
            HTTPException: 403 the flow is not this browser's, the token does not hold, or none of
                the person's groups has a role; 502 the provider does not answer.
        """
        flow = self._flows.pop(state, None)
        ours = secrets.compare_digest(state.encode(), of_browser.encode())
        if flow is None or not ours or flow.ends < time.monotonic():
            raise HTTPException(403, "this sign-in was not begun here, or is too old; begin again")
        claims = self._claims(self._token(code, flow.verifier), flow.nonce)
        groups = claims.get(self.settings.claim, [])
        named = {groups} if isinstance(groups, str) else set(map(str, groups))
        # Roles come in their order: the last that is held is the highest.
        role = next((role for group, role in reversed([*self.settings.roles.items()])
                     if group in named), None)
        name = self._name(claims)
        if role is None:
            raise HTTPException(403, f"{name} is in no group that may look at this console")
        return Known(name, role)

    @property
    def _back(self) -> str:
        return f"{self.settings.public_url}{PATH}/back"

    def _provider(self) -> dict[str, Any]:
        if not self._facts:
            facts = self._json("GET", f"{self.settings.issuer}/.well-known/openid-configuration")
            if facts.get("issuer", "").rstrip("/") != self.settings.issuer:
                raise HTTPException(502, "the provider calls itself otherwise")
            self._facts = facts
        return self._facts

    def _keys(self) -> jwt.PyJWKClient:
        if self._known_keys is None:
            self._known_keys = jwt.PyJWKClient(self._provider()["jwks_uri"], timeout=TIMEOUT)
        return self._known_keys

    def _token(self, code: str, verifier: str) -> str:
        answer = self._json(
            "POST", self._provider()["token_endpoint"],
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": self._back,
                  "code_verifier": verifier},
            auth=(self.settings.client_id, self.settings.client_secret))
        return str(answer.get("id_token", ""))

    def _json(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, url, **more)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise HTTPException(
                502, f"the identity provider does not answer: {type(error).__name__}") from error
        return found

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        offered = self._facts.get("id_token_signing_alg_values_supported", ["RS256"])
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._keys().get_signing_key_from_jwt(token),
                algorithms=sorted(ALGORITHMS & set(offered)), audience=self.settings.client_id,
                issuer=self._facts["issuer"], leeway=LEEWAY_SECONDS,
                options={"require": list(NEEDED)})
        except jwt.PyJWTError as error:
            raise HTTPException(403, "what the identity provider says does not hold") from error
        others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if not secrets.compare_digest(str(claims.get("nonce", "")), nonce) or (
                others and claims.get("azp") != self.settings.client_id):
            raise HTTPException(403, "what the identity provider says is not for this sign-in")
        return claims

    def _name(self, claims: Mapping[str, Any]) -> str:
        """For people and the audit log; told apart from the console's own users."""
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
            name = sha256(str(claims["sub"]).encode()).hexdigest()[:16]
        return name if "@" in name else f"{name}@{urlsplit(self.settings.issuer).hostname}"
