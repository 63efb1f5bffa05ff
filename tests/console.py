"""A console over a platform home, asked in this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi.testclient import TestClient

from mlops_assets.config import load_settings
from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from resources.platform_db import PlatformDatabase
from ui.server.app import create_app
from ui.server.settings import Addresses, Console

LOOPBACK = "http://127.0.0.1:8080"


@contextmanager
def running_console(
    home: Path, *, addresses: Addresses | None = None, host: str = "127.0.0.1",
    base_url: str = LOOPBACK,
) -> Iterator[TestClient]:
    """Its client; every source has been looked at once."""
    settings = load_settings("demo").model_copy(update={"home": home})
    app = create_app(Console(settings, addresses or Addresses(), host))
    with TestClient(app, base_url=base_url) as client:
        app.state.world.refresh()
        yield client


def change_headers(client: TestClient, key: str | None = None) -> dict[str, str]:
    """What a page of the console sends with a change."""
    token = client.get("/api/v1/me").json()["csrf"]
    return {"x-csrf-token": token, "idempotency-key": key or str(uuid4())}


def change(client: TestClient, path: str, body: dict[str, Any], key: str | None = None) -> Any:
    """The response to a change."""
    return client.post(f"/api/v1/{path}", json=body, headers=change_headers(client, key))


@contextmanager
def serving_console(
    home: Path, *, addresses: Addresses | None = None, host: str = "127.0.0.1"
) -> Iterator[str]:
    """Its address: the built pages and the API on a free loopback port."""
    settings = load_settings("demo").model_copy(update={"home": home})
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    app = create_app(Console(settings, addresses or Addresses(), host, port))
    app.state.world.refresh()
    server = uvicorn.Server(uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def add_challenger(home: Path) -> RolloutState:
    """A second model waits; gives the state of serving."""
    newer = SlotAssignment(model_version="b" * 64, bento_tag="classifier:newer", weight=0.0)
    with closing(PlatformDatabase(home)) as database:
        state = database.read_state()
        waiting = state.model_copy(update={
            "revision": state.revision + 1, "step": "held",
            "slots": {**state.slots, "challenger": newer}})
        database.change_state(waiting, actor="rollout", action="release", details={})
    return waiting
