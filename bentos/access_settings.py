"""Settings of who may call, all from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.asyncio.connection import parse_url

from mlops_assets.contracts.errors import PlatformError
from resources.api_keys import KeyRefused, parse_rate

PREFIX: Final = "MLOPS_SERVICE_"
SECRET_BYTES: Final = 32
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class AccessMisconfigured(PlatformError):
    """Settings of access that are wrong or contradict each other."""


class AccessSettings(BaseSettings):
    """``MLOPS_SERVICE_<NAME>`` variables. Times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    auth: Literal["on", "off"] = "on"
    rate: str = Field("6000/minute", description="a caller whose key names no other")
    failed_rate: str = Field("30/minute", description="wrong credentials an address")
    redis_url: SecretStr | None = Field(None, description="rates are counted there")
    keys_refresh_seconds: float = Field(2.0, gt=0, le=60, description="a revoked key stops within")
    keys_stale_seconds: float = Field(
        300.0, gt=0, description="how long keys are valid whose source is away"
    )
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    jwt_secret: SecretStr | None = Field(None, description="at least 32 bytes; HS256")
    jwt_secret_file: Path | None = None
    jwt_jwks_url: str | None = Field(None, description="RS256 or ES256")
    jwt_leeway_seconds: float = Field(5.0, ge=0, le=60, description="clocks that differ")
    jwks_refresh_seconds: float = Field(60.0, gt=0)
    jwks_cooldown_seconds: float = Field(10.0, gt=0, description="between two fetches")
    jwks_timeout_seconds: float = Field(3.0, gt=0)

    def shared_secret(self) -> bytes | None:
        """The secret that signs tokens, from its variable or its file; None where there is none.

        Raises:
            ValueError: the file can not be read, or the secret is shorter than ``SECRET_BYTES``.
        """
        if self.jwt_secret is not None:
            secret = self.jwt_secret.get_secret_value().encode()
        elif self.jwt_secret_file is not None:
            try:
                secret = self.jwt_secret_file.read_bytes().strip()
            except OSError as error:
                raise ValueError(
                    f"{PREFIX}JWT_SECRET_FILE, {self.jwt_secret_file}: {error.strerror}"
                ) from error
        else:
            return None
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the shared secret of tokens has less than {SECRET_BYTES} bytes")
        return secret

    @field_validator("rate", "failed_rate")
    @classmethod
    def _is_rate(cls, text: str) -> str:
        try:
            parse_rate(text)
        except KeyRefused as error:
            raise ValueError(str(error)) from error
        return text

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            if url is not None:
                parse_url(url.get_secret_value())
        except ValueError:
            # Its cause quotes parts of the address, which may hold a password.
            raise ValueError("is no redis://, rediss:// or unix:// address") from None
        return url

    @model_validator(mode="after")
    def _outlives_refresh(self) -> AccessSettings:
        if self.keys_stale_seconds <= max(self.keys_refresh_seconds, self.jwks_refresh_seconds):
            raise ValueError(
                f"{PREFIX}KEYS_STALE_SECONDS must be more than {PREFIX}KEYS_REFRESH_SECONDS and "
                f"{PREFIX}JWKS_REFRESH_SECONDS"
            )
        return self

    @model_validator(mode="after")
    def _agree(self) -> AccessSettings:
        sources = {
            "JWT_SECRET": self.jwt_secret,
            "JWT_SECRET_FILE": self.jwt_secret_file,
            "JWT_JWKS_URL": self.jwt_jwks_url,
        }
        given = [PREFIX + name for name, value in sources.items() if value is not None]
        if self.jwt_algorithm is None:
            if given or self.jwt_audience or self.jwt_issuer:
                raise ValueError(f"tokens are set up without {PREFIX}JWT_ALGORITHM")
            return self
        if self.auth == "off":
            raise ValueError(f"{PREFIX}AUTH is off, but tokens are set up: remove one of both")
        shared = self.jwt_algorithm == "HS256"
        names = ("JWT_SECRET", "JWT_SECRET_FILE") if shared else ("JWT_JWKS_URL",)
        wanted = [PREFIX + name for name in names]
        if len(given) != 1 or given[0] not in wanted:
            raise ValueError(
                f"{self.jwt_algorithm} needs {' or '.join(wanted)} and no other source of keys; "
                f"given: {', '.join(given) or 'none'}"
            )
        if not self.jwt_audience or not self.jwt_issuer:
            raise ValueError(f"tokens need {PREFIX}JWT_AUDIENCE and {PREFIX}JWT_ISSUER")
        self.shared_secret()
        if self.jwt_jwks_url is not None:
            _check_address(self.jwt_jwks_url)
        return self


def load_access_settings() -> AccessSettings:
    """The settings of this process.

    Raises:
        AccessMisconfigured: one line, without any value of a secret.
    """
    try:
        return AccessSettings()
    except ValidationError as error:
        told = [
            " ".join([*(f"{PREFIX}{part}".upper() for part in fault["loc"]), fault["msg"]])
            for fault in error.errors(include_input=False, include_url=False)
        ]
    # Outside the block: the validation error holds the values, and must not be its context.
    raise AccessMisconfigured("; ".join(told).replace("Value error, ", ""))


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not encrypted or not parts.hostname or parts.username is not None:
        raise ValueError(f"{PREFIX}JWT_JWKS_URL is an https:// address without a user")
