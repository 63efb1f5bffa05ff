"""What every route needs of the console: the world it looks at, and who asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from resources.console_users import Role
from resources.service_api import ServiceApi
from ui.server.replays import Replays
from ui.server.security import Guard, Person
from ui.server.world import World


def world_of(request: Request) -> World:
    """The world of the console that answers."""
    world: World = request.app.state.world
    return world


def guard_of(request: Request) -> Guard:
    """The guard of the console that answers."""
    guard: Guard = request.app.state.guard
    return guard


def service_of(request: Request) -> ServiceApi:
    """A client of the classifier service."""
    service: ServiceApi = request.app.state.service
    return service


def person_of(request: Request) -> Person:
    """Who asks; 401 without a session where one is needed."""
    return guard_of(request).person(request)


def may(least: Role) -> Callable[[Request], Person]:
    """A dependency: who asks, once it is sure that they may make a change."""

    def check(request: Request) -> Person:
        person = person_of(request)
        guard_of(request).check_change(request, person, least)
        return person

    return check


TheWorld = Annotated[World, Depends(world_of)]
TheService = Annotated[ServiceApi, Depends(service_of)]
Anyone = Annotated[Person, Depends(person_of)]
Operator = Annotated[Person, Depends(may("operator"))]
Admin = Annotated[Person, Depends(may("admin"))]
Key = Annotated[str | None, Header(alias="idempotency-key")]


def once(
    request: Request, key: str | None, asked: Any, make: Callable[[], str]
) -> tuple[str, bool]:
    """Make a change once a key; see ``Replays``."""
    replays: Replays = request.app.state.replays
    return replays.once(key, asked, make)
