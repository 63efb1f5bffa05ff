"""Alerts: what Alertmanager says, and its webhook into the console."""

from __future__ import annotations

import hmac
import json
import threading
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, HTTPException, Request
from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.contracts.files import ALERT_TOKEN_FILE
from resources.durable import write_bytes
from ui.server import schemas
from ui.server.routes.context import Anyone, TheWorld
from ui.server.routes.trying import read_body
from ui.server.views.automation import alerts

router = APIRouter()
TOLD_FILE: Final = "console/alerts.json"
KEPT: Final = 300


class Told(BaseModel):
    """One alert in a notification of Alertmanager (webhook format 4)."""

    model_config = ConfigDict(extra="ignore")

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: str  # noqa: N815 - Alertmanager's name
    endsAt: str  # noqa: N815
    fingerprint: str


class Notification(BaseModel):
    """A notification of Alertmanager."""

    model_config = ConfigDict(extra="ignore")

    alerts: list[Told]


class Notices:
    """Alerts that the console was told of, newest first; they survive a restart."""

    def __init__(self, home: Path) -> None:
        self._path, self._lock = home / TOLD_FILE, threading.Lock()

    def read(self) -> list[dict[str, Any]]:
        """All that are kept."""
        try:
            return list(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return []

    def add(self, told: list[Told]) -> None:
        """Keep alerts; a later word on one takes the place of the earlier."""
        with self._lock:
            known = {(raw["fingerprint"], raw["startsAt"]): raw for raw in self.read()}
            known |= {(each.fingerprint, each.startsAt): each.model_dump() for each in told}
            newest = sorted(known.values(), key=lambda raw: raw["startsAt"], reverse=True)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self._path, json.dumps(newest[:KEPT]).encode())


@router.get("/alerts")
def get_alerts(request: Request, world: TheWorld, _: Anyone) -> schemas.Alerts:
    """What fires, and what fired and is over."""
    notices: Notices = request.app.state.notices
    return alerts(world, notices.read())


@router.post("/alerts/webhook", include_in_schema=False)
async def post_webhook(
    request: Request, world: TheWorld, authorization: Annotated[str, Header()] = ""
) -> schemas.Done:
    """Alertmanager tells what fires; it knows the token in this home."""
    path = world.console.home / ALERT_TOKEN_FILE
    wanted = f"Bearer {path.read_text().strip()}" if path.is_file() else ""
    if not wanted or not hmac.compare_digest(authorization.encode(), wanted.encode()):
        raise HTTPException(401, f"send the token in {ALERT_TOKEN_FILE} as a bearer token")
    try:
        told = Notification.model_validate_json(await read_body(request)).alerts
    except ValidationError as error:
        raise HTTPException(422, f"not a notification: {error.errors()[0]['msg']}") from error
    notices: Notices = request.app.state.notices
    notices.add(told)
    world.alertmanager.wake()
    return schemas.Done(message=f"{len(told)} alerts")
