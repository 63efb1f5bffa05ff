"""Sign-in with an identity provider: OpenID Connect, the authorization code flow with PKCE.

The provider says who somebody is and which groups they are in; which group may do what is set here.
A flow belongs to the browser that began it (a signed cookie holds it), its code is worth nothing
without the verifier that the provider has not seen (RFC 7636), and the token must be signed by a
key of the provider, for this client, now, and for this flow (OpenID Connect Core 3.1.3.7).
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
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import jwt
from fastapi import HTTPException
from jwt.utils import base64url_encode
from pydantic import BaseModel, ValidationError

from mlops_assets.contracts.errors import PlatformError
from resources.console_users import ROLES, Role

PATH: Final = "/oidc"
FLOW_SECONDS: Final = 600
TIMEOUT: Final = 5.0
AWAY_SECONDS: Final = 5.0
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
    scope: str = "openid profile email"

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
        for role in ROLES:  # of a group that is named twice the higher role counts
            roles |= {group.strip(): role
                      for group in told(f"{role.upper()}S").split(",") if group.strip()}
        secret, file = told("CLIENT_SECRET"), told("CLIENT_SECRET_FILE")
        if file:
            try:
                secret = Path(file).read_text().strip()
            except OSError as error:
                raise BadProvider(f"{PREFIX}CLIENT_SECRET_FILE: {error}") from error
        found = cls(told("ISSUER").rstrip("/"), told("CLIENT_ID"), secret,
                    told("PUBLIC_URL").rstrip("/"), roles, told("CLAIM") or "groups",
                    told("SCOPE") or "openid profile email")
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
        if urlsplit(found.public_url).path:
            raise BadProvider(f"{found.public_url} must have no path")
        return found


class _Facts(BaseModel):
    """What is needed of the provider's configuration (OpenID Connect Discovery 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    id_token_signing_alg_values_supported: list[str] = ["RS256"]


@dataclass(frozen=True, slots=True)
class Known:
    """Whom the provider named, and what they may do."""

    name: str
    role: Role


class SingleSignOn:
    """Sends browsers to the provider and takes them back; keeps nothing of a flow itself."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings: Final = settings
        self._client: Final = httpx.Client(timeout=TIMEOUT)
        self._key: Final = secrets.token_bytes(32)
        self._facts: _Facts | None = None
        self._keys: jwt.PyJWKClient | None = None
        self._away_until = 0.0

    def close(self) -> None:
        """Close the connections to the provider."""
        self._client.close()

    def begin(self) -> tuple[str, str]:
        """Where to send the browser, and what it must bring back beside the provider's answer.

        Raises:
            HTTPException: 502 the provider does not answer.
        """
        where = self._provider().authorization_endpoint
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        flow = jwt.encode({"state": state, "nonce": nonce, "verifier": verifier,
                           "exp": int(time.time()) + FLOW_SECONDS}, self._key, "HS256")
        challenge = base64url_encode(sha256(verifier.encode()).digest()).decode()
        return where + ("&" if "?" in where else "?") + urlencode({
            "response_type": "code", "client_id": self.settings.client_id,
            "redirect_uri": self._back, "scope": self.settings.scope,
            "state": state, "nonce": nonce, "code_challenge": challenge,
            "code_challenge_method": "S256"}), flow

    def finish(self, state: str, flow: str, code: str) -> Known:
        """Who has signed in, when the browser has come back with its ``flow``.

        Raises:
            HTTPException: 403 the flow is not this browser's, the token does not hold, or none of
                the person's groups has a role; 502 the provider does not answer.
        """
        try:
            begun = jwt.decode(flow, self._key, ["HS256"], options={"require": ["exp"]})
        except jwt.PyJWTError:
            begun = {}
        if not begun or not secrets.compare_digest(state.encode(), begun["state"].encode()):
            raise HTTPException(403, "this sign-in was not begun here, or is too old; begin again")
        claims = self._claims(self._token(code, begun["verifier"]), begun["nonce"])
        groups = claims.get(self.settings.claim)
        named = groups if isinstance(groups, list) else [groups]
        roles = [self.settings.roles[group] for group in named
                 if isinstance(group, str) and group in self.settings.roles]
        name = self._name(claims)
        if not roles:
            raise HTTPException(403, f"{name} is in no group that may look at this console")
        return Known(name, max(roles, key=ROLES.index))

    @property
    def _back(self) -> str:
        return f"{self.settings.public_url}{PATH}/back"

    def _provider(self) -> _Facts:
        if self._facts is None:
            try:
                facts = _Facts.model_validate(self._json(
                    "GET", f"{self.settings.issuer}/.well-known/openid-configuration"))
            except ValidationError as error:
                raise HTTPException(
                    502, "the identity provider does not tell its configuration") from error
            if facts.issuer.rstrip("/") != self.settings.issuer:
                raise HTTPException(502, "the identity provider calls itself otherwise")
            self._keys = jwt.PyJWKClient(facts.jwks_uri, timeout=TIMEOUT)
            self._facts = facts
        return self._facts

    def _token(self, code: str, verifier: str) -> str:
        client = self.settings.client_id, self.settings.client_secret
        answer = self._json(
            "POST", self._provider().token_endpoint,
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": self._back,
                  "code_verifier": verifier},
            # RFC 6749 2.3.1: encoded as in a form first.
            auth=(quote_plus(client[0]), quote_plus(client[1])))
        return str(answer.get("id_token", "")) if isinstance(answer, dict) else ""

    def _json(self, method: str, url: str, **more: Any) -> Any:
        """The answer; a provider that was away just now is not waited for by each who asks."""
        if time.monotonic() < self._away_until:
            raise HTTPException(502, "the identity provider does not answer")
        try:
            answer = self._client.request(method, url, **more)
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            if isinstance(error, httpx.TransportError):
                self._away_until = time.monotonic() + AWAY_SECONDS
            raise HTTPException(
                502, f"the identity provider does not answer: {type(error).__name__}") from error

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        facts, keys = self._provider(), self._keys
        try:
            if keys is None:
                raise jwt.PyJWKClientError("no keys")
            claims: dict[str, Any] = jwt.decode(
                token, keys.get_signing_key_from_jwt(token),
                algorithms=sorted(ALGORITHMS & set(facts.id_token_signing_alg_values_supported)),
                audience=self.settings.client_id, issuer=facts.issuer, leeway=LEEWAY_SECONDS,
                options={"require": list(NEEDED)})
        except jwt.PyJWKClientConnectionError as error:
            raise HTTPException(502, "the identity provider's keys are not there") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise HTTPException(403, "what the identity provider says does not hold") from error
        others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()) or (
                others and claims.get("azp") != self.settings.client_id):
            raise HTTPException(403, "what the identity provider says is not for this sign-in")
        return claims

    def _name(self, claims: Mapping[str, Any]) -> str:
        """For people and the audit log.

        People may choose what they are called, so a mark of who they are stands behind it, which
        no user of the console's own can have.
        """
        name = str(claims.get("preferred_username") or claims.get("email") or "somebody")
        if not name.isprintable() or len(name) > MAX_NAME:
            name = "somebody"
        mark = sha256(f"{claims['iss']}\n{claims['sub']}".encode()).hexdigest()[:8]
        return f"{name} ({mark})"
