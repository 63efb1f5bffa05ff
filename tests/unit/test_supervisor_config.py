"""Generated configuration of the one-machine platform, its ports and its folders."""

from __future__ import annotations

import shlex
import socket
from configparser import RawConfigParser
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from deploy.fingerprint import fingerprint
from deploy.layout import SOCKET_BYTES, Layout, LayoutError
from deploy.monitoring.binaries import Binaries
from deploy.ports import PortBusy, Ports, choose_ports, recorded_ports
from deploy.prepare_dagster import count_lost_runs
from deploy.programs import (
    HOME_MARK,
    Program,
    make_environment,
    make_programs,
    render_dagster,
    render_monitors,
    render_supervisor,
    render_workspace,
)
from deploy.serve import NoChampion, read_champion
from mlops_assets.config import PlatformSettings, Settings
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import RolloutState, SlotAssignment

PORTS = Ports(dagster=3000, code=3001, mlflow=5000, service=8000, console=8080,
              prometheus=9090, alertmanager=9093)
FREE = PlatformSettings(
    dagster_port=0, code_port=0, mlflow_port=0, service_port=0, console_port=0,
    prometheus_port=0, alertmanager_port=0, node_port=0,
)
BINARIES = Binaries(Path("/opt/a b/prometheus"), Path("/opt/alertmanager"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", profile="demo")


@pytest.fixture
def layout(settings: Settings) -> Layout:
    return Layout(settings.home)


def parsed(layout: Layout, programs: tuple[Program, ...]) -> RawConfigParser:
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read_string(render_supervisor(layout, programs))
    return parser


def test_every_program_stops_with_its_whole_group(settings: Settings, layout: Layout) -> None:
    programs = make_programs(settings, layout, PORTS, binaries=BINARIES)
    conf = parsed(layout, programs)
    assert [program.name for program in programs] == [
        "code", "mlflow", "webserver", "daemon", "service", "console", "alertmanager",
        "prometheus",
    ]
    for program in programs:
        section = conf[f"program:{program.name}"]
        assert section["stopasgroup"] == section["killasgroup"] == "true"
        assert section["autostart"] == "false"
        assert section["stdout_logfile"] == str(layout.logs / f"{program.name}.log")
        assert int(section["stdout_logfile_maxbytes"]) > 0


def test_commands_survive_quoting(settings: Settings) -> None:
    layout = Layout(Path("/srv/my home/100%"))
    programs = make_programs(settings, layout, PORTS, binaries=BINARIES)
    conf = parsed(layout, programs)
    for program in programs:
        line = conf[f"program:{program.name}"]["command"].replace("%%", "%")
        assert tuple(shlex.split(line)) == program.command


def test_supervisor_itself_accepts_the_configuration(
    settings: Settings, layout: Layout, tmp_path: Path
) -> None:
    from supervisor.options import ServerOptions

    layout.make()
    conf = tmp_path / "supervisord.conf"
    conf.write_text(render_supervisor(layout, make_programs(settings, layout, PORTS)))
    options = ServerOptions()
    options.realize(args=["-c", str(conf)], doc="")
    assert len(options.process_group_configs) == 6


def test_webserver_and_daemon_share_the_code_server(settings: Settings, layout: Layout) -> None:
    programs = {each.name: each.command for each in make_programs(settings, layout, PORTS)}
    for name in ("webserver", "daemon"):
        command = programs[name]
        assert command[command.index("-w") + 1] == str(layout.workspace)
    server = yaml.safe_load(render_workspace(settings, PORTS))["load_from"][0]["grpc_server"]
    assert server == {"host": "127.0.0.1", "port": 3001, "location_name": "mlops_assets"}


def test_dagster_accepts_its_configuration(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster._core.instance.config import dagster_instance_config

    layout.make()
    (layout.dagster / "dagster.yaml").write_text(render_dagster(layout))
    config, _ = dagster_instance_config(str(layout.dagster))
    assert config["telemetry"] == {"enabled": False}
    assert config["nux"] == {"enabled": False}
    assert config["run_coordinator"]["config"] == {"dequeue_interval_seconds": 1}
    assert config["run_monitoring"]["max_runtime_seconds"] > 0
    assert config["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert config["concurrency"]["pools"]["default_limit"] == 1


def test_environment_of_the_programs(settings: Settings, layout: Layout) -> None:
    inherited = {"PATH": "/usr/bin", "MAKEFLAGS": "-j2", "MAKELEVEL": "1", "HOME": "/home/me"}
    environment = make_environment(settings, layout, PORTS, inherited)
    assert environment["DAGSTER_HOME"] == str(layout.dagster)
    assert environment["PLATFORM_HOME"] == environment[HOME_MARK] == str(layout.home)
    assert environment["MLOPS_PROFILE"] == "demo"
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLOPS_CONSOLE_DAGSTER_URL"] == "http://127.0.0.1:3000"
    assert environment["MLOPS_CONSOLE_SERVICE_URL"] == "http://127.0.0.1:8000"
    assert environment["MLOPS_CONSOLE_PROMETHEUS_URL"] == "http://127.0.0.1:9090"
    assert environment["MLOPS_CONSOLE_ALERTMANAGER_URL"] == "http://127.0.0.1:9093"
    assert environment["HOME"] == "/home/me"
    assert environment["PATH"].endswith(":/usr/bin")
    assert not any(key.startswith("MAKE") for key in environment)


def test_dagster_is_shown_to_others_only_where_it_is_asked_for(
    settings: Settings, layout: Layout
) -> None:
    assert "dagster-view" not in {each.name for each in make_programs(settings, layout, PORTS)}
    assert choose_ports(FREE).dagster_view == 0
    asked = FREE.model_copy(update={"dagster_view": True, "dagster_view_port": 0})
    ports = choose_ports(asked)
    (view,) = (each for each in make_programs(settings, layout, ports)
               if each.name == "dagster-view")
    assert "--read-only" in view.command
    assert make_environment(settings, layout, ports, {})["MLOPS_CONSOLE_DAGSTER_VIEW_URL"] == (
        f"http://127.0.0.1:{ports.dagster_view}")


def test_without_prometheus_nothing_speaks_of_it(settings: Settings, layout: Layout) -> None:
    bare = choose_ports(FREE)
    assert bare.prometheus == bare.alertmanager == 0
    assert len(make_programs(settings, layout, bare, binaries=BINARIES)) == 6
    assert len(make_programs(settings, layout, PORTS, binaries=None)) == 6
    assert render_monitors(settings, layout, bare, BINARIES) == {}
    assert render_monitors(settings, layout, PORTS, None) == {}
    environment = make_environment(settings, layout, bare, {})
    assert not {each for each in environment if "PROMETHEUS" in each or "ALERTMANAGER" in each}


def test_port_of_a_program_that_does_not_run_may_be_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        settings = FREE.model_copy(update={"prometheus_port": busy.getsockname()[1]})
        choose_ports(settings)
        with pytest.raises(PortBusy, match="meant for prometheus"):
            choose_ports(settings, monitored=True)


def test_older_record_of_ports_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    path.write_text('{"dagster": 1, "code": 2, "mlflow": 3, "service": 4}')
    assert recorded_ports(path) == Ports(1, 2, 3, 4)


def test_busy_port_is_named_with_the_setting_that_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        settings = FREE.model_copy(update={"mlflow_port": port})
        with pytest.raises(PortBusy) as caught:
            choose_ports(settings)
    message = str(caught.value)
    assert f"port {port}, meant for mlflow" in message
    assert "MLOPS__PLATFORM__MLFLOW_PORT" in message
    assert "`mlflow_port` in configs/platform.yaml" in message
    assert "\n" not in message


def test_free_ports_differ_and_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    ports = choose_ports(FREE, monitored=True)
    assert len({port for port in asdict(ports).values() if port}) == 8
    ports.save(path)
    assert recorded_ports(path) == ports
    assert choose_ports(FREE, ports, monitored=True) == ports


def test_free_port_that_was_taken_meanwhile_is_replaced() -> None:
    before = choose_ports(FREE)
    with socket.create_server(("127.0.0.1", before.service)):
        after = choose_ports(FREE, before)
    assert after.service != before.service
    assert after.dagster == before.dagster


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"dagster": 1}', b'{"dagster": "x"}'])
def test_damaged_port_record_counts_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ports.json"
    path.write_bytes(content)
    assert recorded_ports(path) is None


def test_socket_of_a_deep_home_is_short_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    deep = Layout(tmp_path.joinpath(*["a-rather-long-folder"] * 6))
    assert len(str(deep.socket)) <= SOCKET_BYTES
    assert deep.socket != Layout(tmp_path).socket
    deep.make()
    assert deep.socket.parent.stat().st_mode & 0o077 == 0
    deep.socket.parent.rmdir()


def test_home_that_can_not_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LayoutError, match="set PLATFORM_HOME elsewhere"):
        Layout(tmp_path / "file" / "home").make()
    with pytest.raises(LayoutError, match="without quotes"):
        Layout(tmp_path / "a;b").make()


def test_fingerprint_follows_settings_and_files() -> None:
    base = fingerprint(["conf"], {"MLOPS_PROFILE": "demo", "TERM": "xterm"})
    assert base == fingerprint(["conf"], {"TERM": "dumb", "MLOPS_PROFILE": "demo"})
    assert base != fingerprint(["conf"], {"MLOPS_PROFILE": "default"})
    assert base != fingerprint(["other"], {"MLOPS_PROFILE": "demo"})


def test_champion_is_read_or_its_absence_is_clear(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with pytest.raises(NoChampion, match="materialize `rollout` first"):
        read_champion(path)
    path.write_text("{")
    with pytest.raises(PlatformError, match="materialize `rollout` again"):
        read_champion(path)
    slot = SlotAssignment(bento_tag="classifier:abc", model_version="3", weight=1.0)
    path.write_text(RolloutState(revision=1, slots={"champion": slot}).model_dump_json())
    assert read_champion(path).bento_tag == "classifier:abc"


def test_fresh_home_has_no_lost_runs(layout: Layout) -> None:
    assert count_lost_runs(layout) == 0
