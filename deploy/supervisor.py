"""Starting, asking and stopping supervisord over its private unix socket."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time

# The other side is our own supervisord, on a socket that only this user can open.
import xmlrpc.client  # nosec B411
from dataclasses import dataclass
from typing import Any, Final

import psutil

from deploy.layout import Layout
from deploy.programs import HOME_MARK
from mlops_assets.contracts.errors import PlatformError

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 40.0
DEAD_STATES: Final = frozenset({"BACKOFF", "EXITED", "FATAL", "UNKNOWN"})


class SupervisorError(PlatformError):
    """supervisord did not start or does not do what it is asked."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What supervisord knows of a program; ``uptime`` in seconds, 0 when it does not run."""

    name: str
    state: str
    pid: int
    uptime: int


def find_supervised(layout: Layout) -> list[psutil.Process]:
    """Every process of this home by the mark in its environment, also those that lost a parent."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(HOME_MARK) == str(layout.home)
        except (psutil.Error, OSError):
            # Someone else's process, or one that is gone or a zombie: none of ours.
            continue
        if marked and process.pid not in mine:
            found.append(process)
    return found


class Supervisor:
    """Client of one home's supervisord."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def _call(self, method: str, *arguments: Any) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        # The transport keeps a connection and does not notice when a restart has broken it.
        transport = SupervisorTransport(None, None, f"unix://{self.layout.socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            raise SupervisorError(f"supervisord refused {method}: {error.faultString}") from error
        except (OSError, http.client.HTTPException) as error:
            raise SupervisorError(
                f"supervisord does not answer on {self.layout.socket} ({error}); run `mlops up`"
            ) from error
        finally:
            transport.close()

    def is_running(self) -> bool:
        """Whether supervisord answers."""
        if not self.layout.socket.exists():
            return False
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except SupervisorError:
            return False

    def start(self, environment: dict[str, str]) -> None:
        """Start supervisord in the background.

        Raises:
            SupervisorError: it ends at once or does not answer in time.
        """
        # Under a script's `&` SIGINT is ignored, Dagster copies that to SIGTERM, and stops hang.
        command = [
            "env", "--default-signal=INT,QUIT", sys.executable, "-m", "supervisor.supervisord",
            "-c", str(self.layout.supervisor_conf),
        ]
        done = subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise SupervisorError(f"supervisord did not start: {said[-1]}")
        limit = time.monotonic() + START_SECONDS
        while not self.is_running():
            if time.monotonic() > limit:
                log = self.layout.log("supervisord")
                raise SupervisorError(f"supervisord does not answer; see {log}")
            time.sleep(0.05)

    def states(self) -> dict[str, ProcessState]:
        """Program name to state."""
        return {
            info["name"]: ProcessState(
                info["name"], info["statename"], info["pid"],
                max(0, info["now"] - info["start"]) if info["pid"] else 0,
            )
            for info in self._call("getAllProcessInfo")
        }

    def start_program(self, name: str) -> None:
        """Start a program unless it runs already; does not wait for it."""
        if self.states()[name].state not in {"RUNNING", "STARTING"}:
            self._call("startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Stop a program if it runs, and wait for its end."""
        if self.states()[name].state in {"RUNNING", "STARTING", "BACKOFF"}:
            self._call("stopProcess", name, True)

    def stop(self) -> int:
        """Stop everything of this home, and count the processes that had to be killed."""
        if self.is_running():
            try:
                # All at once; a shutdown alone stops one program after the other.
                self._call("stopAllProcesses", False)
                self._wait_for_programs()
                self._call("shutdown")
            except SupervisorError:
                # It went away meanwhile; what is left of it is ended below.
                pass
        limit = time.monotonic() + START_SECONDS
        while self.layout.socket.exists() and self.is_running() and time.monotonic() < limit:
            time.sleep(0.05)
        _, stubborn = psutil.wait_procs(find_supervised(self.layout), timeout=2)
        for process in stubborn:
            process.terminate()
        _, stubborn = psutil.wait_procs(stubborn, timeout=3)
        for process in stubborn:
            process.kill()
        psutil.wait_procs(stubborn, timeout=3)
        self.layout.socket.unlink(missing_ok=True)
        return len(stubborn)

    def _wait_for_programs(self) -> None:
        limit = time.monotonic() + STOP_SECONDS
        while time.monotonic() < limit:
            if not any(state.pid for state in self.states().values()):
                return
            time.sleep(0.1)
