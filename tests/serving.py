"""Runs the application in process, with a client, a real model and a real journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from bentos.app import create_app
from bentos.edge import Edge
from bentos.predictor import Predictor
from bentos.runtime import Runtime
from bentos.settings import ServiceSettings
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.contracts.prediction import PredictionRecord
from resources.journal import hours, read_hour
from tests.model_dir import encode, random_image

SPEC = PixelSpec(height=12, width=10, channels=1)
PNG = encode(random_image(1, SPEC))
Use = Callable[[httpx.AsyncClient, Predictor], Awaitable[None]]


def serve(runtime: Runtime, journal: Path, use: Use, **settings: float) -> None:
    """Run ``use`` with a client of the application, then stop it."""

    async def run() -> None:
        predictor = Predictor(
            runtime,
            journal_dir=journal,
            bento_tag="dev",
            settings=ServiceSettings.model_validate(settings),
        )
        app = create_app()
        app.state.predictor = predictor
        edge = Edge(app, json_path="/predict", max_json_bytes=1000)
        transport = httpx.ASGITransport(app=edge)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
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
