"""Whether a program does its work: asked over its own protocol, not guessed from its process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

import httpx

from deploy.ports import Ports
from deploy.programs import CODE_LOCATION
from mlops_assets.contracts.errors import PlatformError

PROBE_SECONDS: Final = 3.0
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


def _answers(url: str) -> str | None:
    try:
        status = httpx.get(url, timeout=PROBE_SECONDS).status_code
    except httpx.HTTPError as error:
        return f"{url}: {error}"
    return None if status == httpx.codes.OK else f"{url} answers {status}"


def _ask(url: str, query: str) -> dict[str, Any]:
    response = httpx.post(f"{url}/graphql", json={"query": query}, timeout=10 * PROBE_SECONDS)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()["data"]
    return answer


def _loads_code(url: str) -> str | None:
    """The webserver answers and has the definitions.

    Raises:
        BrokenDefinitionsError: the code server answers with an error in the definitions.
    """
    try:
        workspace = _ask(url, _WORKSPACE)["workspaceOrError"]
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
    except (httpx.HTTPError, KeyError, TypeError) as error:
        return f"{url}: {error}"


def _daemons_run(url: str) -> str | None:
    try:
        health = _ask(url, _DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (httpx.HTTPError, KeyError, TypeError) as error:
        return f"{url}: {error}"
    ill = [each["daemonType"] for each in health if each["required"] and not each["healthy"]]
    return f"no heartbeat yet of {', '.join(ill)}" if ill else None


def make_probes(host: str, ports: Ports) -> dict[str, Probe]:
    """Program name to a probe that gives None when ready, else what is still missing."""
    web = f"http://{host}:{ports.dagster}"
    return {
        "code": lambda: _listens(host, ports.code),
        "mlflow": lambda: _answers(f"http://{host}:{ports.mlflow}/health"),
        "webserver": lambda: _loads_code(web),
        "daemon": lambda: _daemons_run(web),
        "service": lambda: _answers(f"http://{host}:{ports.service}/readyz"),
    }
