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
from ui.server.replays import Refused
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
from ui.server.sources.dagster import PARTITIONS, switch
from ui.server.views.rollout import rollout
from ui.server.world import World

router = APIRouter()
TOLD_BEFORE = ""


@router.post("/rollout/{action}")
def post_rollout(
    action: schemas.Action, change: schemas.StateChange, request: Request, world: TheWorld,
    person: Operator, key: Key = None,
) -> schemas.Rollout:
    """Promote, go a step up, hold, or roll back, from the state that the person saw."""

    def make() -> str:
        operate(world.console.settings, action, change.reason, actor=person.name,
                details={"by": "console", "key": key}, seen=change.revision)
        return ""

    once(request, key, ("rollout", action, change), make)
    world.refresh([world.ledger])
    return rollout(world)


@router.post("/launch")
def post_launch(
    change: schemas.Launch, request: Request, world: TheWorld, person: Operator, key: Key = None
) -> schemas.Done:
    """Queue a run of a job in Dagster."""

    def make() -> str:
        api = _dagster(world)
        job = world.dagster.value.job(change.job)
        if job is None:
            raise Refused(404, f"there is no job `{change.job[:60]}`")
        _as_seen(change.seen, job.latest, f"{job.name} was launched meanwhile")
        if (job.partitions is None) == bool(change.partition):
            raise Refused(422, f"{job.name} takes " + (
                "no partition" if change.partition else
                f"a {PARTITIONS.get(job.partitions or '', 'partition')}: name it"))
        _note(world, person, "launch", change.reason,
              {"job": change.job, "partition": change.partition, "key": key})
        if change.partition and job.partitions:
            api.ensure_partition(job.partitions, change.partition)
        return api.launch(change.job, change.partition)

    run, replayed = once(request, key, ("launch", change), make)
    world.dagster.wake()
    return schemas.Done(message=f"run {run[:8]} of {change.job} is queued", replayed=replayed)


@router.post("/sensors/{name}/{turn}")
def post_sensor(
    name: str, turn: Literal["start", "stop"], change: schemas.Change, request: Request,
    world: TheWorld, person: Operator, key: Key = None,
) -> schemas.Done:
    """Start or stop a sensor or a schedule."""

    def make() -> str:
        api, sensor = _dagster(world), world.dagster.value.sensor(name)
        _as_seen(change.seen, sensor.version, f"{name} was switched {sensor.version} meanwhile")
        _note(world, person, f"sensor {turn}", change.reason, {"sensor": name, "key": key})
        switch(api, sensor, on=turn == "start")
        return ""

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

    def make() -> str:
        service.feedback(label.prediction_id, label.label)
        return ""

    _, replayed = once(request, key, ("label", label), make)
    _note_label(world, person, label, replayed=replayed)
    world.journal.wake()
    return schemas.Done(message=f"labelled {label.label}", replayed=replayed)


def _note_label(world: World, person: Person, label: schemas.NewLabel, *, replayed: bool) -> None:
    if not replayed:
        _note(world, person, "label", "label queue",
              {"prediction_id": label.prediction_id, "label": label.label})


@router.get("/keys")
def get_keys(world: TheWorld, _: Anyone) -> schemas.Keys:
    """Every API key of the service, newest first; secrets are kept nowhere."""
    known = ApiKeys(world.database()).read_all()
    return schemas.Keys(keys=[_key_view(key) for key in reversed(known)], version=_list_of(known))


@router.post("/keys")
def post_key(
    new: schemas.NewKey, request: Request, world: TheWorld, person: Admin, key: Key = None
) -> schemas.MadeKey:
    """Make an API key."""
    keys = ApiKeys(world.database())
    secret = TOLD_BEFORE

    def make() -> str:
        nonlocal secret
        _as_seen(new.seen, _list_of(keys.read_all()), "somebody made or revoked a key meanwhile")
        made = keys.create(
            name=new.name, scopes=new.scopes, actor=person.name, reason=new.reason,
            expires_at=datetime.now(UTC) + timedelta(days=new.days))
        secret = made.text
        return made.key.id

    key_id, _ = once(request, key, ("key", new), make)
    # A secret is told once, also to whoever asks again; it is kept nowhere.
    return schemas.MadeKey(key=_key_view(_key(keys, key_id)), secret=secret)


@router.post("/keys/{key_id}/revoke")
def post_revoke(
    key_id: str, change: schemas.Change, request: Request, world: TheWorld, person: Admin,
    key: Key = None,
) -> schemas.Done:
    """End an API key."""
    keys = ApiKeys(world.database())

    def make() -> str:
        version = _key_view(_key(keys, key_id)).version
        _as_seen(change.seen, version, f"key {key_id} is {version} by now")
        keys.revoke(key_id, actor=person.name, reason=change.reason)
        return ""

    _, replayed = once(request, key, ("revoke", key_id, change), make)
    return schemas.Done(message=f"key {key_id} is revoked", replayed=replayed)


def _as_seen(seen: str, now: str, problem: str) -> None:
    """That a person decides on what they saw.

    Raises:
        Refused: 409, it has changed since.
    """
    if seen != now:
        raise Refused(409, f"{problem}; look again")


def _key(keys: ApiKeys, key_id: str) -> ApiKey:
    for key in keys.read_all():
        if key.id == key_id:
            return key
    raise Refused(404, f"there is no key `{key_id[:60]}`")


def _list_of(keys: list[ApiKey]) -> str:
    """The version of a list of keys: it changes when one is made or revoked."""
    return f"{len(keys)}-{sum(key.revoked_at is not None for key in keys)}"


def _key_view(key: ApiKey) -> schemas.KeyView:
    return schemas.KeyView(
        id=key.id, name=key.name, scopes=list(key.scopes), expires_at=key.expires_at,
        created_at=key.created_at, revoked=key.revoked_at is not None,
        version="good" if key.revoked_at is None else "revoked")


def _dagster(world: World) -> DagsterApi:
    if world.dagster_api is None:
        raise Refused(502, "no Dagster is configured; set MLOPS_CONSOLE_DAGSTER_URL")
    # What was seen four seconds ago may be what somebody has changed since.
    world.refresh([world.dagster])
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
