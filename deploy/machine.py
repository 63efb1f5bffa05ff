"""The one-machine platform: brought up, asked, and taken down as a whole."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.fingerprint import fingerprint
from deploy.layout import Layout
from deploy.monitoring.binaries import find_binaries
from deploy.monitoring.token import ensure_token
from deploy.ports import Ports, choose_ports, recorded_ports
from deploy.prepare_dagster import prepare_dagster
from deploy.programs import (
    DEFINITIONS,
    SERVICE,
    Program,
    make_environment,
    make_programs,
    render_dagster,
    render_monitors,
    render_supervisor,
    render_workspace,
)
from deploy.readiness import make_probes
from deploy.serve import read_champion
from deploy.supervisor import DEAD_STATES, Supervisor, find_supervised
from mlops_assets.config import Settings
from mlops_assets.contracts.errors import PlatformError
from resources.durable import write_bytes

Log = Callable[[str], None]

POLL_SECONDS: Final = 0.25
LOG_LINES: Final = 12
BESIDE: Final = frozenset({"console", "prometheus", "alertmanager", "node"})
NO_ALARMS: Final = (
    "no Prometheus and Alertmanager on this machine, so no alarms; `make prometheus` fetches them")


class StartError(PlatformError):
    """A program did not become ready; the message names it, why, and its log."""


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """One program as a person sees it. ``ready`` is None where nothing is expected of it."""

    name: str
    state: str
    ready: bool | None
    pid: int
    uptime: int
    url: str
    detail: str


class Machine:
    """The platform of one home on this machine."""

    def __init__(self, settings: Settings, *, definitions: str = DEFINITIONS) -> None:
        self.settings = settings
        self.layout = Layout(settings.home)
        self.supervisor = Supervisor(self.layout)
        self._definitions = definitions
        self._binaries = find_binaries() if settings.platform.monitoring else None

    @property
    def ports(self) -> Ports:
        """The recorded ports.

        Raises:
            StartError: the platform was never up.
        """
        ports = recorded_ports(self.layout.ports)
        if ports is None:
            raise StartError(f"there is no platform in {self.layout.home}; run `mlops up`")
        return ports

    def programs(self, ports: Ports) -> tuple[Program, ...]:
        """The programs as they are configured now."""
        return make_programs(
            self.settings, self.layout, ports, definitions=self._definitions,
            binaries=self._binaries)

    def beside(self) -> tuple[str, ...]:
        """The programs that look on: the platform's work needs none of them."""
        names = (program.name for program in self.programs(self.ports))
        return tuple(name for name in names if name in BESIDE)

    def up(self, log: Log, *, wait_for: tuple[str, ...] | None = None) -> bool:
        """Bring everything up and wait until it is ready; False when it was so already.

        ``wait_for`` names the only programs to wait for; ``wait`` does the rest later. What this
        call started is stopped again when it fails or is interrupted.

        Raises:
            PortBusy, SupervisorError, StartError: one line each.
        """
        self.layout.make()
        with self._alone():
            if self.supervisor.is_running():
                if self._fingerprint(self.ports) == self._started_with():
                    fresh = any(each.ready is False for each in self.status())
                    self._start(log, wait_for)
                    return fresh
                log("code or settings changed since the start; restarting")
                self.supervisor.stop()
            elif strays := find_supervised(self.layout):
                log(f"stopping {len(strays)} processes that an earlier run left behind")
                self.supervisor.stop()
            if self.settings.platform.monitoring and self._binaries is None:
                log(NO_ALARMS)
            ports = choose_ports(
                self.settings.platform, recorded_ports(self.layout.ports),
                monitored=self._binaries is not None)
            self._configure(ports)
            try:
                environment = make_environment(self.settings, self.layout, ports)
                self.supervisor.start(environment)
                # The code server opens Dagster's databases as well, and two processes may not
                # make them at once; MLflow has one of its own.
                self.supervisor.start_program("mlflow")
                prepare_dagster(self.layout, environment, log)
                self._start(log, wait_for)
            except BaseException:
                self.supervisor.stop()
                raise
            return True

    def down(self) -> bool:
        """Stop everything; False when nothing ran."""
        ran = self.supervisor.is_running() or bool(find_supervised(self.layout))
        self.supervisor.stop()
        if left := find_supervised(self.layout):
            raise StartError(f"processes {[each.pid for each in left]} do not end")
        return ran

    def serve(self, log: Log) -> None:
        """Have the service run the released bento, and wait until it is ready.

        One that was started with another bento is started anew, as a bento brings its own code;
        other changes of the state of serving it follows by itself.

        Raises:
            NoChampion: no model is released.
        """
        champion = read_champion(self.layout.serving)
        served = self.layout.served
        if served.is_file() and served.read_text() != champion.bento_tag:
            self.supervisor.stop_program(SERVICE)
        self.supervisor.start_program(SERVICE)
        self.wait((SERVICE,), log)

    def status(self) -> list[ProgramStatus]:
        """Every program, in the order of the start."""
        ports = recorded_ports(self.layout.ports)
        running = self.supervisor.is_running() and ports is not None
        states = self.supervisor.states() if running else {}
        programs = self.programs(ports or Ports(0, 0, 0, 0))
        probes = make_probes(self.settings.platform.host, ports) if ports else {}
        found = []
        for program in programs:
            state = states.get(program.name)
            alive = state is not None and state.pid > 0
            idle = program.name == SERVICE and not self.layout.serving.exists()
            detail = "not running"
            if alive:
                try:
                    detail = probes[program.name]() or ""
                except PlatformError as error:
                    detail = str(error)
            elif idle:
                detail = "no model is released yet"
            found.append(ProgramStatus(
                program.name, state.state if state else "STOPPED",
                None if idle and not alive and running else alive and not detail,
                state.pid if state else 0, state.uptime if state else 0,
                program.url if running else "", detail,
            ))
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the home, so that two starts at a time do not meet."""
        with (self.layout.run / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StartError(f"another `mlops up` is at work in {self.layout.home}") from error
            yield

    def _files(self, ports: Ports) -> dict[Path, str]:
        return {
            self.layout.supervisor_conf: render_supervisor(self.layout, self.programs(ports)),
            self.layout.dagster / "dagster.yaml": render_dagster(self.layout),
            self.layout.workspace: render_workspace(self.settings, ports),
            **render_monitors(self.settings, self.layout, ports, self._binaries),
        }

    def _configure(self, ports: Ports) -> None:
        ensure_token(self.layout.alert_token)
        files = self._files(ports) | {self.layout.run / "fingerprint": self._fingerprint(ports)}
        for path, text in files.items():
            write_bytes(path, text.encode())
        ports.save(self.layout.ports)

    def _fingerprint(self, ports: Ports) -> str:
        environment = make_environment(self.settings, self.layout, ports)
        # Where they came or went, the platform is to be started with or without them.
        monitored = "alarms" if self._binaries else "no alarms"
        return fingerprint([monitored, *self._files(ports).values()], environment)

    def _started_with(self) -> str:
        path = self.layout.run / "fingerprint"
        return path.read_text() if path.is_file() else ""

    def _start(self, log: Log, wait_for: tuple[str, ...] | None) -> None:
        names = [program.name for program in self.programs(self.ports)]
        if not self.layout.serving.exists():
            names.remove(SERVICE)
        for name in names:
            self.supervisor.start_program(name)
        self.wait(tuple(names) if wait_for is None else wait_for, log)

    def wait(self, names: tuple[str, ...], log: Log) -> None:
        """Wait for each program; say when one is ready, and why when one is not."""
        probes = make_probes(self.settings.platform.host, self.ports)
        began, waiting, detail = time.monotonic(), list(names), ""
        limit = self.settings.platform.start_seconds
        while waiting:
            states = self.supervisor.states()
            for name in tuple(waiting):
                if states[name].state in DEAD_STATES:
                    raise self._failure(name, f"it ended ({states[name].state})", log)
                try:
                    detail = probes[name]() or ""
                except PlatformError as error:
                    raise self._failure(name, str(error), log) from error
                seconds = time.monotonic() - began
                if not detail:
                    waiting.remove(name)
                    log(f"{name} ready ({seconds:.1f} s)")
                elif seconds > limit:
                    raise self._failure(name, f"not ready after {limit:.0f} s: {detail}", log)
            if waiting:
                time.sleep(POLL_SECONDS)

    def _failure(self, name: str, why: str, log: Log) -> StartError:
        path = self.layout.log(name)
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        for line in lines[-LOG_LINES:]:
            log(f"  {name} | {line}")
        return StartError(f"`{name}` did not start: {why}; its log is {path}")
