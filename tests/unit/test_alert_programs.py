"""How Prometheus and Alertmanager are found, started, and trusted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.layout import Layout
from deploy.machine import NO_ALARMS, Machine
from deploy.monitoring import binaries
from deploy.monitoring.binaries import Binaries, find_binaries
from deploy.monitoring.token import ensure_token
from deploy.ports import Ports
from deploy.programs import render_monitors
from mlops_assets.config import PROJECT_ROOT, PlatformSettings, Settings
from resources.snapshot import LEFT_OUT

PORTS = Ports(1, 2, 3, 8000, 8080, 9090, 9093, node=9101)
BOTH = Binaries(Path("/p"), Path("/a"))
STUB = "#!/bin/sh\n"


def _program(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(STUB)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without either program; its only folder of programs."""
    monkeypatch.setattr(binaries, "FOLDER", tmp_path / "unpacked")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def test_both_programs_are_needed(bare: Path) -> None:
    assert find_binaries() is None
    prometheus = _program(bare, "prometheus")
    assert find_binaries() is None
    alertmanager = _program(bare, "prometheus-alertmanager")
    assert find_binaries() == Binaries(prometheus, alertmanager)


def test_unpacked_programs_come_first(bare: Path) -> None:
    for name in ("prometheus", "alertmanager"):
        _program(bare, name)
        _program(binaries.FOLDER, name)
    found = find_binaries()
    assert found is not None
    assert found.prometheus.parent == found.alertmanager.parent == binaries.FOLDER


def test_programs_listen_where_they_are_told_and_on_no_other_port() -> None:
    found = Binaries(Path("/p"), Path("/a"), Path("/n"))
    assert "--web.listen-address=127.0.0.1:9" in found.node_command(listen="127.0.0.1:9")
    where = {"config": Path("/c"), "data": Path("/d"), "listen": "127.0.0.1:9"}
    for command in (found.prometheus_command(**where), found.alertmanager_command(**where)):
        assert "--web.listen-address=127.0.0.1:9" in command
    assert "--cluster.listen-address=" in found.alertmanager_command(**where)


def test_the_machine_is_scraped_where_its_exporter_is(bare: Path, tmp_path: Path) -> None:
    for name in ("prometheus", "alertmanager"):
        _program(bare, name)
    settings = Settings(home=tmp_path)
    assert "node" not in {each.name for each in Machine(settings).programs(PORTS)}
    _program(bare, "prometheus-node-exporter")
    found = find_binaries()
    assert found is not None
    assert "node" in {each.name for each in Machine(settings).programs(PORTS)}
    for binaries_, scraped in ((BOTH, 0), (found, 1)):
        files = render_monitors(settings, Layout(tmp_path), PORTS, binaries_)
        text = files[Layout(tmp_path).monitoring / "prometheus.yml"]
        assert text.count("127.0.0.1:9101") == scraped


def test_platform_does_without_and_can_be_told_to(bare: Path, tmp_path: Path) -> None:
    machine = Machine(Settings(home=tmp_path))
    assert "prometheus" not in {each.name for each in machine.programs(PORTS)}
    assert "make prometheus" in NO_ALARMS
    _program(bare, "prometheus")
    _program(bare, "alertmanager")
    assert "prometheus" in {
        each.name for each in Machine(Settings(home=tmp_path)).programs(PORTS)}
    off = Settings(home=tmp_path, platform=PlatformSettings(monitoring=False))
    assert "prometheus" not in {each.name for each in Machine(off).programs(PORTS)}


def test_files_name_the_ports_in_use_and_the_token(tmp_path: Path) -> None:
    platform = PlatformSettings(node_exporter="127.0.0.1:9100")
    layout = Layout(tmp_path)
    files = {path.name: yaml.safe_load(text) for path, text in render_monitors(
        Settings(home=tmp_path, platform=platform), layout, PORTS, BOTH).items()}
    jobs = {each["job_name"]: each["static_configs"][0]["targets"][0]
            for each in files["prometheus.yml"]["scrape_configs"]}
    assert jobs == {
        "service": "127.0.0.1:8000", "console": "127.0.0.1:8080",
        "prometheus": "127.0.0.1:9090", "alertmanager": "127.0.0.1:9093",
        "mlflow": "127.0.0.1:3", "node": "127.0.0.1:9100",
    }
    webhook = files["alertmanager.yml"]["receivers"][0]["webhook_configs"][0]
    assert webhook["url"] == "http://127.0.0.1:8080/api/v1/alerts/webhook"
    credentials = webhook["http_config"]["authorization"]
    assert credentials == {"type": "Bearer", "credentials_file": str(layout.alert_token)}


def test_snapshots_leave_out_what_is_measured(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert {layout.series.name, layout.silences.name, layout.run.name} <= LEFT_OUT


def test_token_is_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "run" / "alert-token"
    ensure_token(path)
    first = path.read_text()
    assert len(first) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    ensure_token(path)
    assert path.read_text() == first
    assert [each.name for each in path.parent.iterdir()] == ["alert-token"]


def test_script_leaves_alone_what_is_there(bare: Path, tmp_path: Path) -> None:
    for name in ("prometheus", "promtool", "amtool", "prometheus-alertmanager", "node_exporter"):
        _program(bare, name)
    script = PROJECT_ROOT / "deploy" / "prometheus.sh"
    done = subprocess.run(
        ["/bin/bash", str(script), str(tmp_path / "new")], capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "new").exists()
