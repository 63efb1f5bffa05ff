"""An identity provider for tests: OpenID Connect discovery, authorization code flow with PKCE."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt

from tests.jwks_server import Signer
from tests.loopback import loopback_server

CLIENT, SECRET = "console", "the client's 100 %+ secret"


@dataclass
class Identity:
    """The provider: whom it names, and how it may go wrong.

    ``claims`` are changed in every token; ``signer`` signs, ``signer_listed`` is in the key set.
    """

    url: str = ""
    signer: Signer = field(default_factory=lambda: Signer("one"))
    signer_listed: Signer | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent when somebody has signed in there."""
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?" + urlencode({"code": code, "state": asked["state"]})

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """The answer to a code; None refuses it."""
        asked = self.codes.pop(form["code"], None)
        told = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
        if asked is None or [*map(unquote_plus, told)] != [CLIENT, SECRET]:
            return None
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest())
        if challenge.rstrip(b"=").decode() != asked["code_challenge"] or (
                form["redirect_uri"] != asked["redirect_uri"]):
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 60,
                  "nonce": asked["nonce"], "preferred_username": "ada", "groups": ["ml"],
                  **self.claims}
        if self.algorithm == "none":
            token = jwt.encode(claims, None, algorithm="none", headers={"kid": self.signer.kid})
        else:
            token = jwt.encode(claims, self.signer.private, algorithm=self.algorithm,
                               headers={"kid": self.signer.kid})
        return {"id_token": token, "access_token": "x", "token_type": "Bearer"}


@contextmanager
def identity_provider() -> Iterator[Identity]:
    """It runs on a free loopback port."""
    known = Identity()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("location", known.authorize(dict(parse_qsl(parts.query))))
                self.send_header("content-length", "0")
                self.end_headers()
                return
            listed = known.signer_listed or known.signer
            self.tell({
                "/.well-known/openid-configuration": {
                    "issuer": known.url, "authorization_endpoint": f"{known.url}/authorize",
                    "token_endpoint": f"{known.url}/token", "jwks_uri": f"{known.url}/keys",
                    "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"]},
                "/keys": {"keys": [listed.public()]}}.get(parts.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self.tell(known.token(dict(parse_qsl(body)), self.headers.get("authorization", "")))

        def tell(self, found: dict[str, Any] | None) -> None:
            body = json.dumps(found or {"error": "invalid_grant"}).encode()
            self.send_response(200 if found else 400)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with loopback_server(Handler) as known.url:
        yield known
