"""What a person wants to see of a materialization; kept beside the artifact it describes."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MAX_PICTURE_BYTES = 100_000


class CheckOutcome(BaseModel):
    """Verdict of one asset check. A failed ``blocking`` check stops the line."""

    model_config = ConfigDict(extra="forbid")

    name: str
    passed: bool
    blocking: bool
    description: str
    details: dict[str, float | int | str] = Field(default_factory=dict)


class Summary(BaseModel):
    """Numbers, tables, pictures (PNG, base64) and check outcomes of one artifact."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, float | int | str | bool] = Field(default_factory=dict)
    tables: dict[str, list[dict[str, float | int | str | bool]]] = Field(default_factory=dict)
    pictures: dict[str, str] = Field(default_factory=dict)
    checks: list[CheckOutcome] = Field(default_factory=list)

    def add_picture(self, name: str, png: bytes) -> None:
        """Keep a PNG of at most 100 KB, the most that Dagster's event log should carry.

        Raises:
            ValueError: the picture is larger.
        """
        if len(png) > MAX_PICTURE_BYTES:
            raise ValueError(f"picture `{name}` has {len(png)} bytes; the limit is 100,000")
        self.pictures[name] = base64.b64encode(png).decode()

    def check(
        self, name: str, *, passed: bool, description: str, blocking: bool = True, **details: Any
    ) -> None:
        """Add the outcome of one asset check."""
        self.checks.append(
            CheckOutcome(
                name=name, passed=bool(passed), blocking=blocking, description=description,
                details=details,
            )
        )
