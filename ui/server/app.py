"""The console's application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.lineage.subject import UnknownId
from mlops_assets.serving.states import ImpossibleChange
from resources.api_keys import KeyRefused
from resources.changes import KeyReused, OutcomeUnknown
from resources.console_users import ConsoleUsers
from resources.platform_db import ConflictingChange
from resources.service_api import ServiceApi
from ui.server.metrics import registry_of
from ui.server.replays import Refused, Replays
from ui.server.routes import (
    alerting,
    changing,
    dagster_pages,
    looking,
    mlflow_pages,
    people,
    runbooks,
    signing_on,
    trying,
)
from ui.server.routes.context import Anyone
from ui.server.routes.looking import PROBLEMS
from ui.server.security import HEADERS, Guard
from ui.server.settings import STATIC, Console
from ui.server.single_sign_on import SingleSignOn
from ui.server.stream import Stream
from ui.server.world import World

API: Final = "/api/v1"
STATUS: Final[dict[type[PlatformError], int]] = {
    UnknownId: 404, ImpossibleChange: 409, ConflictingChange: 409, KeyRefused: 422,
    KeyReused: 422, OutcomeUnknown: 409,
}
NO_PAGES: Final = "the pages are not built: run `make console`, or install the package"


class NoUsers(PlatformError):
    """Others could reach the console, and nobody is known who may."""


def create_app(console: Console) -> FastAPI:
    """The application of one console.

    Raises:
        NoUsers: it would listen beyond loopback and there is no user.
    """
    world = World(console)
    sign_on = SingleSignOn(console.provider) if console.provider else None
    guard = Guard(console, ConsoleUsers(world.database()), sign_on)
    if guard.must_have_users:
        raise NoUsers(f"{console.host} can be reached by others, and no user is known: make one "
                      "with `mlops users create NAME --role admin --reason TEXT`, or set up single "
                      "sign-on")
    stream, registry = Stream(world), registry_of(world)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stream.begin()
        world.start()
        yield
        world.stop()
        app.state.service.close()
        if sign_on is not None:
            sign_on.close()
        for pages in (app.state.dagster_pages, app.state.mlflow_pages):
            if pages is not None:
                await pages.close()

    app = FastAPI(title="mlops-assets console", version="1", lifespan=lifespan, docs_url=None,
                  redoc_url=None, openapi_url=f"{API}/openapi.json", responses=PROBLEMS)
    app.state.world, app.state.guard = world, guard
    app.state.replays = Replays(world.database)
    app.state.notices = alerting.Notices(console.home)
    where = console.addresses
    app.state.dagster_pages = (
        dagster_pages.DagsterPages(where.dagster_view) if where.dagster_view else None)
    app.state.mlflow_pages = (
        mlflow_pages.MlflowPages(where.mlflow_view) if where.mlflow_view else None)
    app.state.service = ServiceApi(where.service or "http://127.0.0.1:1")
    include_routes(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    _guard_everything(app, guard)
    _explain_errors(app)

    @app.get(f"{API}/stream", response_class=StreamingResponse)
    async def get_stream(_: Anyone) -> StreamingResponse:
        """A page hears that something changed."""
        return StreamingResponse(stream.listen(), media_type="text/event-stream",
                                 headers={"cache-control": "no-store"})

    @app.get("/readyz", include_in_schema=False)
    def ready() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    app.include_router(signing_on.router)
    app.include_router(dagster_pages.router)
    app.include_router(mlflow_pages.router)
    app.include_router(runbooks.router)
    _serve_pages(app)
    return app


def include_routes(app: FastAPI) -> None:
    """Everything below ``/api/v1`` but the stream."""
    for part in (people, looking, changing, trying, alerting):
        app.include_router(part.router, prefix=API)


def _guard_everything(app: FastAPI, guard: Guard) -> None:
    @app.middleware("http")
    async def guarded(
        request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        try:
            guard.check_origin(request)
        except HTTPException as error:
            return _problem(error.status_code, str(error.detail))
        response = await go_on(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.url.path.startswith(API):
            response.headers.setdefault("cache-control", "no-store")
        return response


def _explain_errors(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def http_error(_: Request, error: StarletteHTTPException) -> Response:
        return _problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"][1:])
        return _problem(422, f"{where}: {first['msg']}" if where else str(first["msg"]))

    @app.exception_handler(PlatformError)
    async def platform_error(_: Request, error: PlatformError) -> Response:
        if isinstance(error, Refused):
            return _problem(error.status, str(error))
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 502)
        return _problem(status, str(error))


def _problem(
    status: int, detail: str, headers: object = None
) -> JSONResponse:
    """Problem details (RFC 9457)."""
    more = dict(headers) if isinstance(headers, dict) else {}
    return JSONResponse(
        {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status,
         "detail": detail},
        status, media_type="application/problem+json", headers={**HEADERS, **more})


def _serve_pages(app: FastAPI) -> None:
    index = STATIC / "index.html"
    app.mount("/assets", StaticFiles(directory=STATIC / "assets", check_dir=False),
              name="assets")

    @app.get("/{path:path}", include_in_schema=False)
    def page(path: str) -> Response:
        if path.startswith("api/"):
            return _problem(404, f"there is no /{path[:80]}")
        if not index.is_file():
            return _problem(503, NO_PAGES)
        # Files beside the page, such as its icon; never anything above its folder.
        beside = STATIC / path
        if path and "/" not in path and beside.is_file():
            return FileResponse(beside, headers={"cache-control": "no-cache"})
        return FileResponse(index, headers={"cache-control": "no-cache"})
