"""The one-machine platform, for real: up, status, down, and what is left after each way to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.layout import Layout
from deploy.machine import Machine
from deploy.ports import Ports, recorded_ports
from deploy.prepare_dagster import count_lost_runs, prepare_dagster
from deploy.programs import make_environment, render_dagster
from deploy.readiness import BrokenDefinitionsError
from deploy.supervisor import Supervisor, find_supervised
from mlops_assets.config import PlatformSettings, Settings
from mlops_assets.contracts.errors import PlatformError
from tests.commands import COMMAND
from tests.commands import run_mlops as mlops

pytestmark = pytest.mark.slow

NO_PORTS = {
    f"MLOPS__PLATFORM__{name}_PORT": "0"
    for name in ("DAGSTER", "CODE", "MLFLOW", "SERVICE", "CONSOLE", "PROMETHEUS", "ALERTMANAGER")
}
FREE = PlatformSettings(
    dagster_port=0, code_port=0, mlflow_port=0, service_port=0, console_port=0,
    prometheus_port=0, alertmanager_port=0, start_seconds=300,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own on free ports; whatever a failed test leaves is stopped."""
    path = tmp_path / "home"
    for key, value in {**NO_PORTS, "MLOPS__PLATFORM__START_SECONDS": "300"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("PLATFORM_HOME", str(path))
    yield path
    Supervisor(Layout(path)).stop()


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def started_up(home: Path) -> subprocess.Popen[str]:
    """`mlops up` in the background, with programs already under its supervisor."""
    process = subprocess.Popen([*COMMAND, "up"], text=True, stderr=subprocess.PIPE)
    wait_until(lambda: len(find_supervised(Layout(home))) >= 3)
    return process


def test_up_status_down(home: Path) -> None:
    done = mlops("up", "--json")
    assert done.returncode == 0, done.stderr
    up = json.loads(done.stdout)
    assert up["started"] is True
    programs = {each["name"]: each for each in up["programs"]}
    assert [name for name in programs if programs[name]["ready"]] == [
        "code", "mlflow", "webserver", "daemon", "console", "node", "alertmanager", "prometheus"
    ]
    assert programs["service"]["detail"] == "no model is released yet"

    ports = recorded_ports(Layout(home).ports)
    assert ports is not None
    graphql = f"http://127.0.0.1:{ports.dagster}/graphql"
    assert httpx.post(graphql, json={"query": "{ version }"}).json()["data"]["version"]
    search = f"http://127.0.0.1:{ports.mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
    assert httpx.get(search).status_code == 200
    assert httpx.get(search, headers={"host": "elsewhere.example"}).status_code == 403

    told = f"http://127.0.0.1:{ports.prometheus}/api/v1/query"
    asked = {"query": 'up{job="node"} == 1 and on() count(node_network_receive_bytes_total) > 0'}
    wait_until(lambda: httpx.get(told, params=asked).json()["data"]["result"])
    status = mlops("status", "--json")
    assert status.returncode == 0
    again = json.loads(mlops("up", "--json").stdout)
    assert again["started"] is False
    pids = {name: each["pid"] for name, each in programs.items()}
    assert {each["name"]: each["pid"] for each in again["programs"]} == pids

    table = mlops("status")
    assert table.returncode == 0
    assert "webserver" in table.stdout

    supervisor = psutil.Process(int((Layout(home).run / "supervisord.pid").read_text()))
    tree = [supervisor, *supervisor.children(recursive=True)]
    assert len(tree) >= 5
    assert json.loads(mlops("down", "--json").stdout) == {"stopped": True}
    assert not [process for process in tree if process.is_running()]
    assert not find_supervised(Layout(home))
    assert mlops("status").returncode == 1
    assert json.loads(mlops("down", "--json").stdout) == {"stopped": False}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_start_leaves_nothing(home: Path, number: signal.Signals) -> None:
    process = started_up(home)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "mlops: interrupted"
    assert not find_supervised(Layout(home))


def test_start_with_sigint_ignored_can_be_interrupted(home: Path) -> None:
    script = 'trap "" INT; exec "$@"'
    process = subprocess.Popen(
        ["bash", "-c", script, "-", *COMMAND, "up"], text=True, stderr=subprocess.PIPE
    )
    wait_until(lambda: len(find_supervised(Layout(home))) >= 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert not find_supervised(Layout(home))


def test_second_start_at_the_same_time_is_refused(home: Path) -> None:
    process = started_up(home)
    second = mlops("up")
    assert second.returncode == 1
    assert "another `mlops up` is at work" in second.stderr
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)


def test_down_ends_what_a_killed_supervisor_left(home: Path) -> None:
    process = started_up(home)
    process.kill()
    process.communicate()
    os.kill(int((Layout(home).run / "supervisord.pid").read_text()), signal.SIGKILL)
    assert find_supervised(Layout(home))
    assert mlops("down").returncode == 0
    assert not find_supervised(Layout(home))


def test_busy_port_is_one_line_and_starts_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        monkeypatch.setenv("MLOPS__PLATFORM__DAGSTER_PORT", str(port))
        done = mlops("up")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"port {port}, meant for dagster" in done.stderr
    assert "MLOPS__PLATFORM__DAGSTER_PORT" in done.stderr
    assert not find_supervised(Layout(home))


def test_broken_definitions_are_named_and_nothing_is_left(home: Path) -> None:
    lines: list[str] = []
    machine = Machine(Settings(home=home, platform=FREE), definitions="no_such_module")
    with pytest.raises(PlatformError, match="no_such_module") as caught:
        machine.up(lines.append)
    assert isinstance(caught.value.__cause__, BrokenDefinitionsError)
    assert "webserver.log" in str(caught.value)
    assert not find_supervised(Layout(home))


def test_runs_that_ended_with_the_platform_are_canceled(home: Path) -> None:
    import dagster as dg

    layout = Layout(home)
    layout.make()
    (layout.dagster / "dagster.yaml").write_text(render_dagster(layout))
    with dg.DagsterInstance.from_config(str(layout.dagster)) as instance:
        lost = instance.create_run_for_job(
            dg.GraphDefinition(name="empty").to_job(), status=dg.DagsterRunStatus.STARTED
        )
        assert count_lost_runs(layout) == 1
        lines: list[str] = []
        environment = make_environment(Settings(home=home), layout, Ports(1, 2, 3, 4))
        prepare_dagster(layout, environment, lines.append)
        assert lines == ["marking 1 runs as canceled that ended with an earlier platform"]
        assert count_lost_runs(layout) == 0
        run = instance.get_run_by_id(lost.run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.CANCELED
