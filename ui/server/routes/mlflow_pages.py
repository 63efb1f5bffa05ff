"""MLflow's own pages at ``/mlflow``, to look at: for people who reach the console from elsewhere.

MLflow has no login and no read-only mode: whoever reaches it may delete every model, and some of
its routes fetch what they are told to. So only what is named here is passed on, by its exact path:
the pages, and the requests by which they read experiments, runs and models.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request, Response

from mlops_assets.contracts.pages import MLFLOW_PAGES
from ui.server.routes.passing import Underneath, admit, read_body, stream

API: Final = "/ajax-api/2.0/mlflow"
API3: Final = "/ajax-api/3.0/mlflow"
GRAPHQL: Final = "/graphql"
ARTIFACTS: Final = frozenset({"/get-artifact", "/model-versions/get-artifact"})
READ: Final = frozenset({
    "/", "/version", f"{API3}/server-info",
    *(f"{API}/experiments/{verb}" for verb in ("get", "get-by-name", "search")),
    f"{API}/runs/get", f"{API}/artifacts/list",
    *(f"{API}/metrics/get-history{more}" for more in ("", "-bulk", "-bulk-interval")),
    *(f"{API}/registered-models/{verb}"
      for verb in ("get", "search", "get-latest-versions", "alias")),
    *(f"{API}/model-versions/{verb}" for verb in ("get", "search", "get-download-uri")),
}) | ARTIFACTS
# Reads whose question is a body.
SEARCHED: Final = frozenset({
    f"{API}/experiments/search", f"{API}/experiments/search-datasets", f"{API}/runs/search",
    f"{API}/registered-models/get-latest-versions", f"{API}/logged-models/search",
    f"{API3}/traces/search", f"{API3}/traces/metrics",
})
OF_A_MODEL: Final = re.compile(
    re.escape(f"{API}/logged-models/") + r"m-[0-9a-f]+(/artifacts/(directories|files))?", re.ASCII)
FILES: Final = re.compile(r"/static-files/[\w./-]+", re.ASCII)
# Reads too, at present; but what is called a change is not passed on.
CHANGING: Final = re.compile(r"\b(mutation|subscription)\b")
KEPT: Final = frozenset({
    "cache-control", "content-disposition", "content-encoding", "content-length", "content-type",
    "etag", "last-modified"})
POLICY: Final = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; worker-src 'self' blob:; frame-src blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
# What a run has kept may be a page with scripts: it is shown as a page of nobody's.
NOBODYS: Final = "default-src 'none'; sandbox"

router = APIRouter(include_in_schema=False)


class MlflowPages(Underneath):
    """The tracking server underneath."""

    def __init__(self, url: str) -> None:
        super().__init__("MLflow", url)


def may_pass(method: str, path: str) -> bool:
    """Whether a request to ``path`` of MLflow only reads, and its pages need it."""
    if method == "POST":
        return path in SEARCHED or path == GRAPHQL
    # One path may read by one method and change by another.
    return method in ("GET", "HEAD") and (path in READ or _names_a_file(path))


def _names_a_file(path: str) -> bool:
    return bool(OF_A_MODEL.fullmatch(path) or FILES.fullmatch(path))


def plain_query(body: bytes) -> bytes:
    """A GraphQL query written anew, so that MLflow reads in it what was looked at here.

    Raises:
        HTTPException: 403 for anything but one query.
    """
    try:
        asked: Any = json.loads(body)
        query = asked["query"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(403, "send one GraphQL query as JSON") from error
    if not isinstance(query, str) or CHANGING.search(query):
        raise HTTPException(403, f"{MLFLOW_PAGES} passes on what reads, and nothing else")
    return json.dumps({"query": query, "variables": asked.get("variables"),
                       "operationName": asked.get("operationName")}).encode()


@router.api_route(MLFLOW_PAGES, methods=["GET"])
@router.api_route(MLFLOW_PAGES + "/{path:path}",
                  methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def show(request: Request, path: str | None = None) -> Response:
    """One page, file or question of MLflow's."""
    pages: MlflowPages | None = request.app.state.mlflow_pages
    if pages is None:
        raise HTTPException(404, "MLflow's pages are not shown here; see `mlflow_view` in "
                                 "configs/platform.yaml")
    if (led := admit(request, MLFLOW_PAGES, path)) is not None:
        return led
    # The path as it came: what is written otherwise than MLflow's own pages write it is refused.
    raw = bytes(request.scope["raw_path"]).decode("latin-1").removeprefix(MLFLOW_PAGES)
    if not may_pass(request.method, raw):
        raise HTTPException(403, f"{MLFLOW_PAGES} passes on what reads, and nothing else")
    body = await read_body(request)
    answer = await pages.ask(request, raw.encode("latin-1"),
                             plain_query(body) if raw == GRAPHQL else body)
    of_a_run = raw in ARTIFACTS or raw.endswith("/files")
    return stream(answer, {
        **{name: value for name, value in answer.headers.items() if name in KEPT},
        "content-security-policy": NOBODYS if of_a_run else POLICY})
