"""Ports of the one-machine platform: chosen once, recorded, and checked before anything starts."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from mlops_assets.config import PlatformSettings
from mlops_assets.contracts.errors import PlatformError
from resources.durable import write_bytes

PROGRAMS: Final = ("dagster", "code", "mlflow", "service", "console")
MONITORS: Final = ("prometheus", "alertmanager", "node")


class PortBusy(PlatformError):
    """Something else listens on a port; the message names it and the setting that moves it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """One port a program; 0 for one that is not there."""

    dagster: int
    code: int
    mlflow: int
    service: int
    console: int = 0
    prometheus: int = 0
    alertmanager: int = 0
    dagster_view: int = 0
    node: int = 0

    def save(self, path: Path) -> None:
        """Record the ports for the commands that follow."""
        write_bytes(path, json.dumps(asdict(self)).encode())


def recorded_ports(path: Path) -> Ports | None:
    """The ports that were recorded last, or None when there is no (whole) record."""
    try:
        return Ports(**{key: int(value) for key, value in json.loads(path.read_bytes()).items()})
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return None


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        OSError: the port is in use.
    """
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
    except OSError:
        probe.close()
        raise
    return probe


def choose_ports(
    settings: PlatformSettings, before: Ports | None = None, *, monitored: bool = False
) -> Ports:
    """The configured ports, each checked to be free; 0 becomes that of ``before`` or a free one.

    Unless ``monitored``, none for Prometheus and what it stands with.

    Raises:
        PortBusy: the first port that is in use.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as held:
        for name in (*PROGRAMS, *(MONITORS if monitored else ()),
                     *(("dagster_view",) if settings.dagster_view else ())):
            wanted: int = getattr(settings, f"{name}_port")
            candidates = [wanted] if wanted else [getattr(before, name, 0), 0]
            for port in candidates:
                try:
                    probe = held.enter_context(_bind(settings.host, port))
                except OSError as error:
                    if wanted:
                        raise PortBusy(
                            f"port {wanted}, meant for {name}, can not be used "
                            f"({error.strerror or error}): stop what uses it, or set "
                            f"MLOPS__PLATFORM__{name.upper()}_PORT or `{name}_port` in "
                            "configs/platform.yaml (0 takes a free one)"
                        ) from error
                    continue
                chosen[name] = int(probe.getsockname()[1])
                break
    return Ports(**chosen)
