"""What every body is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Tone = Literal["plain", "ok", "warn", "bad", "dim"]
State = Literal["ok", "warn", "bad", "wait", "idle"]
Role = Literal["viewer", "operator", "admin"]
Range = Literal["1h", "24h", "14d"]
Action = Literal["promote", "advance", "hold", "rollback"]


class Body(BaseModel):
    """Base of every body: nothing but what is declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Body):
    """An error, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class WaysIn(Body):
    """How one may sign in to this console."""

    passwords: bool
    single_sign_on: bool


class Me(Body):
    """Who looks, what they may do, and at what."""

    name: str
    role: Role
    login: bool = Field(description="whether this console asks who one is")
    project: str
    profile: str
    csrf: str = Field(description="to send as X-CSRF-Token with every change")


class Part(Body):
    """A piece of a sentence; with ``href`` it leads to a page of the console."""

    text: str
    href: str = ""


class Fact(Body):
    """One line of a stage."""

    label: str
    value: str
    tone: Tone = "plain"
    mono: bool = False
    aside: str = ""
