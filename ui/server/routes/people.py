"""Routes of a session: who one is, signing in and out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from ui.server import schemas
from ui.server.routes.context import Anyone, guard_of, world_of
from ui.server.security import Person

router = APIRouter()


@router.get("/me")
def get_me(request: Request, person: Anyone) -> schemas.Me:
    """Who looks, and the token that changes carry."""
    return _me(request, person)


@router.get("/login")
def get_login(request: Request) -> schemas.WaysIn:
    """How one may sign in."""
    guard = guard_of(request)
    return schemas.WaysIn(
        passwords=guard.passwords, single_sign_on=guard.single_sign_on is not None)


@router.post("/login")
async def post_login(request: Request, response: Response, who: schemas.Login) -> schemas.Me:
    """Begin a session."""
    person = await run_in_threadpool(
        guard_of(request).sign_in, request, response, who.name, who.password)
    return _me(request, person)


@router.post("/logout")
def post_logout(request: Request, response: Response) -> schemas.Done:
    """End the session."""
    guard_of(request).sign_out(request, response)
    return schemas.Done(message="signed out")


def _me(request: Request, person: Person) -> schemas.Me:
    console, guard = world_of(request).console, guard_of(request)
    return schemas.Me(
        name=person.name, role=person.role, login=guard.login_required, project=console.project,
        profile=console.settings.profile, csrf=guard.csrf(person))
