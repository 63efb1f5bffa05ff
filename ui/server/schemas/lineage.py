"""Where one thing came from, and whether it is whole."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from ui.server.schemas.basics import Body, Part


class LineageNode(Body):
    """One thing; ``kind`` picks its look."""

    id: str
    kind: Literal["prediction", "image", "artifact", "model"]
    title: str
    subtitle: str
    facts: dict[str, str]
    links: list[Part]
    rank: int = Field(description="steps from the thing that was asked for; negative: made of it")


class LineageEdge(Body):
    """``target`` was made from, or saw, ``source``."""

    source: str
    target: str


class LineageGraph(Body):
    """Where one thing came from and what came of it."""

    id: str
    kind: str
    title: str
    facts: dict[str, str]
    image: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    receipt: dict[str, Any] | None


class VerifyLine(Body):
    """One group of things that were checked."""

    what: str
    things: int
    files: int
    problems: list[str]


class Verified(Body):
    """What `mlops verify` says of one thing."""

    id: str
    whole: bool
    seconds: float
    lines: list[VerifyLine]
