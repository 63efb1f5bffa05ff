"""Runs the application in process, with a client, a real model and a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.applications import Starlette

from bentos.access import AccessSettings, Gate
from bentos.app import App
from bentos.edge import Edge
from bentos.predictor import Predictor
from bentos.request_log import RequestLog
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.contracts.prediction import PredictionRecord
from resources.journal import hours, read_hour
from tests.model_dir import encode, random_image

SPEC = PixelSpec(height=12, width=10, channels=1)
PNG = encode(random_image(1, SPEC))
not_found = Starlette()
URL = "http://127.0.0.1"
Use = Callable[[httpx.AsyncClient, Predictor], Awaitable[None]]


@asynccontextmanager
async def edge_of(predictor: Predictor | None) -> AsyncIterator[Edge]:
    """The whole application with authentication off, without BentoML behind it."""
    gate = Gate(AccessSettings(auth="off"), database_url="sqlite://")
    app = App(gate, RequestLog("problems"))
    app.predictor = predictor
    yield Edge(not_found, own=app, gate=gate, json_path="/predict", max_json_bytes=1000,
               body_timeout=1.0)
    await gate.close()


@asynccontextmanager
async def client_of(predictor: Predictor | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that application."""
    async with edge_of(predictor) as edge:
        transport = httpx.ASGITransport(app=edge)
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            yield client


def predictor_of(runtime: Runtime, journal: Path, **settings: float) -> Predictor:
    """What answers; to be made on the event loop that uses it, and closed there."""
    return Predictor(
        runtime,
        journal_dir=journal,
        images_dir=journal.with_name("requests"),
        bento_tag="dev",
        settings=ServiceSettings.model_validate(settings),
    )


def serve(runtime: Runtime, journal: Path, use: Use, **settings: float) -> None:
    """Run ``use`` with a client of the application, then stop it."""

    async def run() -> None:
        predictor = predictor_of(runtime, journal, **settings)
        async with client_of(predictor) as client:
            await use(client, predictor)
        await predictor.close()

    asyncio.run(run())


def journaled(folder: Path) -> list[PredictionRecord]:
    """Every prediction in a journal."""
    return [record for key in hours(folder) for record in read_hour(folder, key)[0]]


def refused(response: httpx.Response, status: int, kind: str) -> None:
    """Assert that a response is this problem document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:mlops-assets:problem:{kind}"
    assert problem["title"]
    assert problem["detail"]
