"""Real Prometheus and Alertmanager over small exporters, and a webhook that remembers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from deploy.monitoring.binaries import find_binaries
from deploy.monitoring.clock import Clock
from deploy.monitoring.render import Targets, render_monitoring
from mlops_assets.config import PROJECT_ROOT, Settings
from tests.running import free_port

READY_SECONDS = 30
TOKEN = "what-only-alertmanager-knows"


def wait_for(condition: Callable[[], object], seconds: float, what: str = "") -> float:
    """Seconds until ``condition`` holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited {seconds} s in vain {what}"
        time.sleep(0.05)
    return time.monotonic() - began


@dataclass
class Program:
    """A process that can be killed and started again."""

    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=output, cwd=PROJECT_ROOT)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None


@dataclass
class Webhook:
    """What Alertmanager told: alert name to statuses, in their order."""

    port: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0

    def statuses(self, alert: str, **labels: str) -> list[str]:
        """Statuses of an alert that has these labels."""
        return [each["status"] for each in self.told if each["labels"]["alertname"] == alert
                and labels.items() <= each["labels"].items()]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A server in this process that takes what comes with the token."""
    told = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            good = self.headers["authorization"] == f"Bearer {TOKEN}"
            if good and self.path == "/api/v1/alerts/webhook":
                told.told += json.loads(body)["alerts"]
            else:
                told.refused += 1
            self.send_response(200 if good else 401)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Alarms:
    """The running programs, and the files that the exporters show."""

    service: Program
    console: Program
    service_file: Path
    console_file: Path
    prometheus: str
    alertmanager: str
    webhook: Webhook

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """An answer of Prometheus' API, also one that names an error."""
        answer: dict[str, Any] = httpx.get(
            f"{self.prometheus}/api/v1/{path}", params=parameters).json()
        return answer


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def alarms(folder: Path, *, service: str, console: str, clock: Clock) -> Iterator[Alarms]:
    """Everything, looking each second at exporters that show these texts; ended with the block.

    The webhook is where the console's would be, which therefore is a process of its own here.
    """
    binaries = find_binaries()
    assert binaries, "no Prometheus; `make prometheus` fetches it"
    ports = [free_port() for _ in range(4)]
    at = [f"127.0.0.1:{port}" for port in ports]
    (folder / "token").write_text(TOKEN)
    for name, text in (("service", service), ("console", console)):
        (folder / name).write_text(text)
    with ExitStack() as ended:
        told = ended.enter_context(webhook())
        targets = Targets(service=at[0], console=at[1], prometheus=at[2], alertmanager=at[3])
        files = render_monitoring(
            Settings(), targets, clock=clock, token=folder / "token",
            webhook=f"http://127.0.0.1:{told.port}/api/v1/alerts/webhook")
        for name, text in files.items():
            (folder / name).write_text(text)
        exporters = [
            [sys.executable, "-m", "tests.exporter", str(port), str(folder / name)]
            for name, port in zip(("service", "console"), ports, strict=False)
        ]
        servers = [list(binaries.alertmanager_command(
            config=folder / "alertmanager.yml", data=folder / "silences", listen=at[3],
        )), list(binaries.prometheus_command(
            config=folder / "prometheus.yml", data=folder / "series", listen=at[2],
        ))]
        programs = [Program(command, folder / f"{number}.log")
                    for number, command in enumerate([*exporters, *servers])]
        for program in programs:
            ended.callback(program.kill)
            program.start()
        for address in (at[2], at[3]):
            wait_for(lambda address=address: _answers(f"http://{address}/-/ready"),
                     READY_SECONDS, f"{[each.log.read_text() for each in programs]}")
        yield Alarms(programs[0], programs[1], folder / "service", folder / "console",
                     f"http://{at[2]}", f"http://{at[3]}", told)
