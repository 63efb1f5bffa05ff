"""Alerts, automation, keys and changes."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from ui.server.schemas.basics import Body


class AlertView(Body):
    """One alert, from Alertmanager or of the console's own."""

    id: str
    name: str
    severity: Literal["critical", "warning", "info"]
    state: Literal["firing", "resolved"]
    summary: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    runbook: str
    source: str


class Alerts(Body):
    """Alerts, firing ones first. ``routed`` tells whether Alertmanager is connected."""

    alerts: list[AlertView]
    routed: bool


class SensorView(Body):
    """A Dagster sensor or schedule."""

    name: str
    running: bool
    last_tick_at: AwareDatetime | None
    last_tick: str
    description: str
    schedule: bool
    version: str


class RunView(Body):
    """A Dagster run."""

    id: str
    job: str
    status: str
    partition: str
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    reason: str
    url: str


class JobView(Body):
    """A job; ``partition`` says of what it takes one: a batch, an hour (UTC) or a folder."""

    name: str
    partition: Literal["", "batch", "hour", "folder"]
    version: str


class Automation(Body):
    """What runs by itself."""

    sensors: list[SensorView]
    runs: list[RunView]
    jobs: list[JobView]


class KeyView(Body):
    """An API key of the service; its secret is never shown again."""

    id: str
    name: str
    scopes: list[str]
    expires_at: AwareDatetime | None
    created_at: AwareDatetime
    revoked: bool
    version: str


class Keys(Body):
    """All keys, newest first, and the version of the list."""

    keys: list[KeyView]
    version: str


class Reasoned(Body):
    """A change that a person asks for."""

    reason: str = Field(min_length=3, max_length=500)


class StateChange(Reasoned):
    """A change of what serves; ``revision`` is that of the state they saw."""

    revision: int


class Change(Reasoned):
    """A change of something else; ``seen`` is the version of it that they saw."""

    seen: str = Field(max_length=100)


class Launch(Change):
    """A job to run."""

    job: str
    partition: str | None = None


class NewLabel(Body):
    """What a person says an image shows."""

    prediction_id: str
    label: str


class NewKey(Change):
    """An API key to make."""

    name: str = Field(min_length=1, max_length=100)
    scopes: list[Literal["predict", "explain", "feedback", "admin"]]
    days: int = Field(90, ge=1, le=3650)


class MadeKey(Body):
    """A new key; ``secret`` is shown once."""

    key: KeyView
    secret: str


class Done(Body):
    """A change has been made; ``replayed``: it had been made before, under the same key."""

    message: str
    replayed: bool = False


class Login(Body):
    """Name and password of a local user."""

    name: str
    password: str
