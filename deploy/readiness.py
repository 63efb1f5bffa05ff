"""Whether a program does its work: asked over its own protocol, not guessed from its process."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from deploy.instance import CODE_LOCATION
from deploy.ports import Ports
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.pages import DAGSTER_PAGES

PROBE_SECONDS: Final = 3.0
QUERY_SECONDS: Final = 30.0
NO_ANSWER: Final = (OSError, HTTPException, KeyError, TypeError, ValueError)
UNREACHABLE: Final = "DagsterUserCodeUnreachableError"

Probe = Callable[[], str | None]

_WORKSPACE: Final = """
{ workspaceOrError { ... on PythonError { message }
    ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
      __typename ... on PythonError { message } } } } } }
"""
_DAEMONS: Final = """
{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }
"""


class BrokenDefinitionsError(PlatformError):
    """The code location does not load; waiting will not help."""


def _listens(host: str, port: int) -> str | None:
    try:
        with socket.create_connection((host, port), timeout=PROBE_SECONDS):
            return None
    except OSError as error:
        return f"port {port}: {error.strerror or error}"


def _fetch(host: str, port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one answer. Probes come often: this costs a hundredth of a new client."""
    seconds = PROBE_SECONDS if body is None else QUERY_SECONDS
    with closing(HTTPConnection(host, port, timeout=seconds)) as connection:
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()


def _answers(host: str, port: int, path: str) -> str | None:
    try:
        status, _ = _fetch(host, port, path)
    except (OSError, HTTPException) as error:
        return f"port {port}: {error}"
    return None if status == HTTPStatus.OK else f"{path} answers {status}"


def _ask(host: str, port: int, query: str) -> dict[str, Any]:
    """The data of a GraphQL answer.

    Raises:
        OSError, HTTPException: no answer.
        KeyError, TypeError, ValueError: another answer than was asked for.
    """
    _, body = _fetch(host, port, "/graphql", json.dumps({"query": query}).encode())
    answer: dict[str, Any] = json.loads(body)["data"]
    return answer


def _loads_code(host: str, port: int) -> str | None:
    """The webserver answers and has the definitions.

    Raises:
        BrokenDefinitionsError: the code server answers with an error in the definitions.
    """
    try:
        workspace = _ask(host, port, _WORKSPACE)["workspaceOrError"]
        entries = {entry["name"]: entry for entry in workspace.get("locationEntries", [])}
        entry = entries.get(CODE_LOCATION)
        if entry is None or entry["loadStatus"] != "LOADED" or not entry["locationOrLoadError"]:
            return "the definitions are loading"
        result = entry["locationOrLoadError"]
        if result["__typename"] != "PythonError":
            return None
        lines = [line.strip() for line in result["message"].splitlines() if line.strip()]
        if UNREACHABLE in result["message"]:
            # The webserver was up before the code server; it looks again every second.
            return "the code server does not answer yet"
        said = lines[-1] if lines else "no message"
        raise BrokenDefinitionsError(f"the definitions do not load: {said}")
    except NO_ANSWER as error:
        return f"port {port}: {error}"


def _daemons_run(host: str, port: int) -> str | None:
    try:
        health = _ask(host, port, _DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    except NO_ANSWER as error:
        return f"port {port}: {error}"
    ill = [each["daemonType"] for each in health if each["required"] and not each["healthy"]]
    return f"no heartbeat yet of {', '.join(ill)}" if ill else None


def make_probes(host: str, ports: Ports) -> dict[str, Probe]:
    """Program name to a probe that gives None when ready, else what is still missing."""
    return {
        "code": lambda: _listens(host, ports.code),
        "mlflow": lambda: _answers(host, ports.mlflow, "/health"),
        "webserver": lambda: _loads_code(host, ports.dagster),
        "dagster-view": lambda: _answers(host, ports.dagster_view, f"{DAGSTER_PAGES}/server_info"),
        "daemon": lambda: _daemons_run(host, ports.dagster),
        "service": lambda: _answers(host, ports.service, "/readyz"),
        "console": lambda: _answers(host, ports.console, "/readyz"),
        "prometheus": lambda: _answers(host, ports.prometheus, "/-/ready"),
        "node": lambda: _answers(host, ports.node, "/metrics"),
        "alertmanager": lambda: _answers(host, ports.alertmanager, "/-/ready"),
    }
