"""A stand-in for an identity provider: signs tokens, serves its public keys, counts who asks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.loopback import loopback_server

AUDIENCE, ISSUER = "classifier", "https://issuer.test"


class Signer:
    """A private key with an id."""

    def __init__(self, kid: str, algorithm: str = "RS256") -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private: Any = (
            rsa.generate_private_key(65537, 2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )

    def token(self, **claims: Any) -> str:
        """A token that is valid for a minute, unless ``claims`` say else."""
        headers = {"kid": claims.pop("kid", self.kid)}
        return jwt.encode(
            good_claims(**claims), self.private, algorithm=self.algorithm, headers=headers
        )

    def public(self) -> dict[str, Any]:
        """The key as a JWKS lists it."""
        found = jwt.get_algorithm_by_name(self.algorithm).to_jwk(
            self.private.public_key(), as_dict=True
        )
        return {**found, "kid": self.kid, "use": "sig"}

    def public_pem(self) -> bytes:
        """The public key in PEM, as anybody may have it."""
        key = self.private.public_key()
        pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


def good_claims(**changed: Any) -> dict[str, Any]:
    """Claims that are accepted; a change to None takes one out."""
    claims = {
        "exp": int(time.time()) + 60, "aud": AUDIENCE, "iss": ISSUER, "sub": "bob",
        "scope": "predict", **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


class Provider:
    """What the server answers with, and what it was asked; it waits while ``answers`` is clear."""

    def __init__(self) -> None:
        self.url = ""
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.answers = threading.Event()
        self.fetches = 0


@contextmanager
def provider(*signers: Signer) -> Iterator[Provider]:
    """A provider on a free loopback port that lists the keys of ``signers``."""
    state = Provider()
    state.keys = [signer.public() for signer in signers]
    state.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.fetches += 1
            state.answers.wait()
            body = json.dumps({"keys": state.keys}).encode()
            self.send_response(state.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with loopback_server(Handler) as url:
        state.url = f"{url}/jwks.json"
        try:
            yield state
        finally:
            state.answers.set()
