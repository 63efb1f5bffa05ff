"""The programs of the one-machine platform and the files that configure them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.instance import common_instance, make_workspace, server_storage
from deploy.layout import Layout
from deploy.monitoring.binaries import Binaries
from deploy.monitoring.clock import Clock
from deploy.monitoring.render import Targets, render_monitoring
from deploy.ports import Ports
from mlops_assets.config import PROJECT_ROOT, Settings
from mlops_assets.contracts.pages import DAGSTER_PAGES
from resources.data_services import (
    DAGSTER_DATABASE,
    MLFLOW_DATABASE,
    PLATFORM_DATABASE,
    artifacts_url,
    database_url,
)

DEFINITIONS: Final = "mlops_assets.definitions"
SERVICE: Final = "service"
CONSOLE: Final = "console"
HOME_MARK: Final = "MLOPS_SUPERVISED_HOME"
LOG_BYTES: Final = 10 << 20
# A process of this machine starts within seconds, also on a busy one.
START_SECONDS: Final = 120
MAKE_VARIABLES: Final = ("MAKE", "MFLAGS")


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process: its argument list and the address a person opens."""

    name: str
    command: tuple[str, ...]
    url: str


def make_programs(
    settings: Settings, layout: Layout, ports: Ports, *, definitions: str = DEFINITIONS,
    binaries: Binaries | None = None,
) -> tuple[Program, ...]:
    """Every program, in the order of their start; the service comes when a model is released.

    Prometheus and Alertmanager are among them where they have ports and ``binaries``.
    """
    python, scripts = sys.executable, Path(sys.executable).parent
    host = settings.platform.host
    web = f"http://{host}:{ports.dagster}"
    workspace = str(layout.workspace)
    return (
        Program("code", (
            str(scripts / "dagster"), "code-server", "start", "-m", definitions,
            "-h", host, "-p", str(ports.code),
        ), ""),
        Program("mlflow", (
            python, "-m", "deploy.mlflow_server", *_embedded_mlflow(layout),
            "--allowed-hosts", f"{host}:{ports.mlflow},localhost:{ports.mlflow}",
            "--host", host, "--port", str(ports.mlflow),
        ), f"http://{host}:{ports.mlflow}"),
        Program("webserver", (
            python, "-m", "deploy.dagster_web", "-h", host, "-p", str(ports.dagster),
            "-w", workspace, "--live-data-poll-rate", "2000",
        ), web),
        *_viewer(layout, host, ports),
        Program("daemon", (str(scripts / "dagster-daemon"), "run", "-w", workspace), ""),
        Program(SERVICE, (
            python, "-m", "deploy.serve", "--host", host, "--port", str(ports.service),
        ), f"http://{host}:{ports.service}"),
        Program(CONSOLE, (
            python, "-m", "ui.server", "--host", host, "--port", str(ports.console),
        ), f"http://{host}:{ports.console}"),
        *_monitors(layout, host, ports, binaries),
    )


def _embedded_mlflow(layout: Layout) -> tuple[str, ...]:
    """Where MLflow keeps things, for what no variable names: addresses are no arguments."""
    database = () if database_url(MLFLOW_DATABASE) else (
        "--backend-store-uri", f"sqlite:///{layout.mlflow / 'mlflow.db'}")
    artifacts = () if artifacts_url() else (
        "--artifacts-destination", str(layout.mlflow / "artifacts"))
    return (*database, *artifacts)


def _viewer(layout: Layout, host: str, ports: Ports) -> tuple[Program, ...]:
    """A webserver that changes nothing, for the console to show to those who may look."""
    if not ports.dagster_view:
        return ()
    return (Program("dagster-view", (
        str(Path(sys.executable).parent / "dagster-webserver"), "-h", host,
        "-p", str(ports.dagster_view), "-w", str(layout.workspace), "--read-only",
        "--path-prefix", DAGSTER_PAGES, "--live-data-poll-rate", "5000",
    ), ""),)


def _monitors(
    layout: Layout, host: str, ports: Ports, binaries: Binaries | None
) -> tuple[Program, ...]:
    if binaries is None or not ports.prometheus:
        return ()
    told, reckoned = f"{host}:{ports.alertmanager}", f"{host}:{ports.prometheus}"
    node = binaries.node_command(listen=f"{host}:{ports.node}") if ports.node else ()
    return (
        *((Program("node", node, f"http://{host}:{ports.node}"),) if node else ()),
        Program("alertmanager", binaries.alertmanager_command(
            config=layout.monitoring / "alertmanager.yml", data=layout.silences, listen=told,
        ), f"http://{told}"),
        Program("prometheus", binaries.prometheus_command(
            config=layout.monitoring / "prometheus.yml", data=layout.series, listen=reckoned,
        ), f"http://{reckoned}"),
    )


def make_clock(settings: Settings) -> Clock:
    """How fast the alarms run."""
    return Clock(
        scale=settings.platform.alarm_scale, scrape_seconds=settings.platform.scrape_seconds)


def render_monitors(
    settings: Settings, layout: Layout, ports: Ports, binaries: Binaries | None
) -> dict[Path, str]:
    """Where the files of Prometheus and Alertmanager go, and what they hold; none without ports.

    Raises:
        ReceiversError: the file of further receivers can not be used.
    """
    if binaries is None or not ports.prometheus:
        return {}
    own = f"{settings.platform.host}:{ports.node}" if ports.node and binaries.node_exporter else ""
    platform = settings.platform
    targets = Targets(
        service=f"{platform.host}:{ports.service}",
        console=f"{platform.host}:{ports.console}",
        prometheus=f"{platform.host}:{ports.prometheus}",
        alertmanager=f"{platform.host}:{ports.alertmanager}",
        mlflow=f"{platform.host}:{ports.mlflow}",
        node=platform.node_exporter or own,
    )
    receivers = PROJECT_ROOT / platform.receivers if platform.receivers else None
    files = render_monitoring(
        settings, targets, clock=make_clock(settings), token=layout.alert_token,
        receivers=receivers)
    return {layout.monitoring / name: text for name, text in files.items()}


def make_environment(
    settings: Settings, layout: Layout, ports: Ports, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Variables of every program: the caller's, less those of ``make``, and the platform's own."""
    kept = {key: value for key, value in inherited.items() if not key.startswith(MAKE_VARIABLES)}
    scripts = str(Path(sys.executable).parent)
    host = settings.platform.host
    databases = {name: url for name in (DAGSTER_DATABASE, MLFLOW_DATABASE, PLATFORM_DATABASE)
                 if (url := database_url(name))}
    return {
        **kept,
        **databases,
        "PATH": f"{scripts}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "DAGSTER_HOME": str(layout.dagster),
        "PLATFORM_HOME": str(layout.home),
        HOME_MARK: str(layout.home),
        "MLOPS_PROFILE": settings.profile,
        "MLFLOW_TRACKING_URI": f"http://{host}:{ports.mlflow}",
        "MLOPS_CONSOLE_DAGSTER_URL": f"http://{host}:{ports.dagster}",
        "MLOPS_CONSOLE_SERVICE_URL": f"http://{host}:{ports.service}",
        **({} if not ports.dagster_view else {
            "MLOPS_CONSOLE_DAGSTER_VIEW_URL": f"http://{host}:{ports.dagster_view}"}),
        **({} if not settings.platform.mlflow_view else {
            "MLOPS_CONSOLE_MLFLOW_VIEW_URL": f"http://{host}:{ports.mlflow}"}),
        **({} if not ports.prometheus else {
            "MLOPS_CONSOLE_PROMETHEUS_URL": f"http://{host}:{ports.prometheus}",
            "MLOPS_CONSOLE_ALERTMANAGER_URL": f"http://{host}:{ports.alertmanager}",
        }),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "BENTOML_HOME": str(layout.bentoml),
        "BENTOML_DO_NOT_TRACK": "True",
        "MLOPS_SERVICE_AUTH": kept.get("MLOPS_SERVICE_AUTH", settings.platform.service_auth),
        "MLOPS_SERVICE_KEEP_SHARE": kept.get(
            "MLOPS_SERVICE_KEEP_SHARE", str(settings.platform.keep_share)),
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "PYTHONUNBUFFERED": "1",
    }


def _line(words: tuple[str, ...]) -> str:
    """A command for supervisor, which expands ``%`` and splits as a shell does."""
    return shlex.join(words).replace("%", "%%")


def _path(path: Path) -> str:
    return str(path).replace("%", "%%")


def render_supervisor(layout: Layout, programs: tuple[Program, ...]) -> str:
    """``supervisord.conf``. Nothing starts by itself: ``mlops up`` keeps the order."""
    parts = [f"""\
[unix_http_server]
file={_path(layout.socket)}
chmod=0600

[supervisord]
logfile={_path(layout.log("supervisord"))}
logfile_maxbytes={LOG_BYTES}
logfile_backups=2
pidfile={_path(layout.run / "supervisord.pid")}
childlogdir={_path(layout.logs)}
directory={_path(PROJECT_ROOT)}
identifier=mlops-assets

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{_path(layout.socket)}
"""]
    parts += [f"""\
[program:{program.name}]
command={_line(program.command)}
directory={_path(PROJECT_ROOT)}
autostart=false
autorestart=true
startsecs=3
startretries=2
stopsignal=TERM
stopwaitsecs=15
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={_path(layout.log(program.name))}
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups=3
""" for program in programs]
    return "\n".join(parts)


def _storage(layout: Layout) -> dict[str, Any]:
    """Where Dagster keeps its events: a server that a variable names, or SQLite."""
    if database_url(DAGSTER_DATABASE):
        return server_storage()
    return {"sqlite": {"base_dir": str(layout.dagster / "storage")}}


def render_dagster(layout: Layout) -> str:
    """``dagster.yaml`` of one machine."""
    return yaml.safe_dump(
        {"storage": _storage(layout)} | common_instance(START_SECONDS), sort_keys=False)


def render_workspace(settings: Settings, ports: Ports) -> str:
    """The workspace of webserver and daemon: both read the one running code server."""
    return yaml.safe_dump(make_workspace(settings.platform.host, ports.code), sort_keys=False)
