"""Routes that change something: each needs a role, a reason and a key, and is audited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

from fastapi import APIRouter, HTTPException, Request

from mlops_assets.serving.operate import operate
from resources.api_keys import ApiKey, ApiKeys
from resources.dagster_api import DagsterApi
from resources.platform_db import ConflictingChange
from ui.server import schemas
from ui.server.routes.context import (
    Admin,
    Anyone,
    Key,
    Operator,
    TheService,
    TheWorld,
    once,
)
from ui.server.security import Person
from ui.server.sources.dagster import switch
from ui.server.views.rollout import rollout
from ui.server.world import World

router = APIRouter()
BATCH = "batch"
TOLD_BEFORE = ""


@router.post("/rollout/{action}")
def post_rollout(
    action: schemas.Action, change: schemas.Change, request: Request, world: TheWorld,
    person: Operator, key: Key = None,
) -> schemas.Rollout:
    """Promote, go a step up, hold, or roll back, from the state that the person saw."""
    if change.revision is None:
        raise HTTPException(422, "send the `revision` of the state that you saw")

    def make() -> None:
        if _was_made(world, key):
            return
        operate(world.console.settings, action, change.reason, actor=person.name,
                details={"by": "console", "key": key}, seen=change.revision)

    once(request, key, ("rollout", action, change), make)
    world.refresh([world.ledger])
    return rollout(world)


def _was_made(world: World, key: str | None) -> bool:
    """Whether a change with this key stands in the audit log, from before a restart."""
    return any(entry.details.get("key") == key for entry in world.database().read_audit()[-1000:])


@router.post("/launch")
def post_launch(
    change: schemas.Launch, request: Request, world: TheWorld, person: Operator, key: Key = None
) -> schemas.Done:
    """Queue a run of a job in Dagster."""

    def make() -> str:
        api = _dagster(world)
        if change.job not in world.dagster.value.jobs:
            raise HTTPException(404, f"there is no job `{change.job[:60]}`")
        _note(world, person, "launch", change.reason,
              {"job": change.job, "partition": change.partition, "key": key})
        if change.partition:
            api.ensure_partition(BATCH, change.partition)
        return api.launch(change.job, change.partition)

    run, replayed = once(request, key, ("launch", change), make)
    world.dagster.wake()
    return schemas.Done(message=f"run {run[:8]} of {change.job} is queued", replayed=replayed)


@router.post("/sensors/{name}/{turn}")
def post_sensor(
    name: str, turn: Literal["start", "stop"], change: schemas.Change, request: Request,
    world: TheWorld, person: Operator, key: Key = None,
) -> schemas.Done:
    """Start or stop a sensor."""

    def make() -> None:
        api, sensor = _dagster(world), world.dagster.value.sensor(name)
        _note(world, person, f"sensor {turn}", change.reason, {"sensor": name, "key": key})
        switch(api, sensor, on=turn == "start")

    _, replayed = once(request, key, ("sensor", name, turn, change), make)
    world.dagster.wake()
    return schemas.Done(message=f"{name} {'runs' if turn == 'start' else 'is stopped'}",
                        replayed=replayed)


@router.post("/labels")
def post_label(
    label: schemas.NewLabel, request: Request, world: TheWorld, service: TheService,
    person: Operator, key: Key = None,
) -> schemas.Done:
    """Tell what an image shows; the label goes the way of all late labels."""
    classes = {name for model in world.store.value.models for name in model.card.classes}
    if classes and label.label not in classes:
        raise HTTPException(422, f"`{label.label[:60]}` is no class of any model")
    _, replayed = once(request, key, ("label", label),
                       lambda: service.feedback(label.prediction_id, label.label))
    _note_label(world, person, label, replayed=replayed)
    world.journal.wake()
    return schemas.Done(message=f"labelled {label.label}", replayed=replayed)


def _note_label(world: World, person: Person, label: schemas.NewLabel, *, replayed: bool) -> None:
    if not replayed:
        _note(world, person, "label", "label queue",
              {"prediction_id": label.prediction_id, "label": label.label})


@router.get("/keys")
def get_keys(world: TheWorld, _: Anyone) -> list[schemas.KeyView]:
    """Every API key of the service, newest first; secrets are kept nowhere."""
    return [_key_view(key) for key in reversed(ApiKeys(world.database()).read_all())]


@router.post("/keys")
def post_key(
    new: schemas.NewKey, request: Request, world: TheWorld, person: Admin, key: Key = None
) -> schemas.MadeKey:
    """Make an API key."""

    def make() -> schemas.MadeKey:
        made = ApiKeys(world.database()).create(
            name=new.name, scopes=new.scopes, actor=person.name, reason=new.reason,
            expires_at=datetime.now(UTC) + timedelta(days=new.days))
        return schemas.MadeKey(key=_key_view(made.key), secret=made.text)

    answer, replayed = once(request, key, ("key", new), make)
    # A secret is told once, also to whoever asks again.
    return schemas.MadeKey(key=answer.key, secret=TOLD_BEFORE) if replayed else answer


@router.post("/keys/{key_id}/revoke")
def post_revoke(
    key_id: str, change: schemas.Change, request: Request, world: TheWorld, person: Admin,
    key: Key = None,
) -> schemas.Done:
    """End an API key."""
    _, replayed = once(
        request, key, ("revoke", key_id, change),
        lambda: ApiKeys(world.database()).revoke(key_id, actor=person.name, reason=change.reason))
    return schemas.Done(message=f"key {key_id} is revoked", replayed=replayed)


def _key_view(key: ApiKey) -> schemas.KeyView:
    return schemas.KeyView(
        id=key.id, name=key.name, scopes=list(key.scopes), expires_at=key.expires_at,
        created_at=key.created_at, revoked=key.revoked_at is not None)


def _dagster(world: World) -> DagsterApi:
    if world.dagster_api is None:
        raise HTTPException(502, "no Dagster is configured; set MLOPS_CONSOLE_DAGSTER_URL")
    return world.dagster_api


def _note(
    world: World, person: Person, action: str, reason: str, details: dict[str, object]
) -> None:
    """Audit before it is done: nothing is done that is not audited."""
    for attempt in range(3):
        try:
            world.database().note(actor=person.name, action=action, reason=reason,
                                  details={"by": "console", **details})
        except ConflictingChange:
            if attempt == 2:
                raise
        else:
            break
    world.ledger.wake()
