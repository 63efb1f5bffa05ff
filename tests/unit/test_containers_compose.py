"""``deploy/compose.yaml`` as the compose program reads it: confined, closed, and in order."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from deploy.images import TARGETS, project_version
from deploy.layout import Layout
from deploy.monitoring.write import main as write_monitoring
from deploy.prepare_cluster import FOLDERS
from deploy.programs import render_dagster
from deploy.tools import tool_folder
from mlops_assets.config import PROJECT_ROOT
from tests.small_platform import CliRunner

FOLDER = PROJECT_ROOT / "deploy"
PASSWORDS = {f"MLOPS_{name.upper()}_PASSWORD": f"of-{name}"
             for name in ("postgres", "dagster", "mlflow", "platform", "redis")}
# Who holds which, and nobody else does. Nobody but PostgreSQL has the superuser's.
HOLDERS = {
    "of-postgres": {"postgres"},
    "of-redis": {"redis", "service", "code", "code-gpu"},
    "of-dagster": {"postgres", "prepare", "code", "code-gpu", "dagster-webserver", "dagster-view",
                   "daemon"},
    "of-mlflow": {"postgres", "prepare", "mlflow"},
    "of-platform": {"postgres", "prepare", "code", "code-gpu", "service", "console"},
}
PUBLISHED = {"service": ("8000", 8000), "console": ("8080", 8080)}
ONCE = {"prepare", "monitoring-files"}
FOREIGN = {"postgres", "redis", "prometheus", "alertmanager"}


def compose(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("MLOPS", "COMPOSE", "AWS"))}
    return subprocess.run(
        [tool_folder("containers") / "docker-compose", "--file", FOLDER / "compose.yaml",
         "--env-file", "/dev/null", *arguments],
        capture_output=True, text=True, check=False, env=kept | variables)


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    done = compose("--profile", "*", "config", "--format", "json", **PASSWORDS)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def services(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(content["services"])


@pytest.mark.parametrize("name", PASSWORDS)
def test_password_must_be_set(name: str) -> None:
    done = compose("config", "--quiet", **(PASSWORDS | {name: ""}))
    assert done.returncode != 0
    assert f"set {name}, see docs/deploy.md" in done.stderr


def test_every_container_is_confined(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] == ("999:999" if name in ("postgres", "redis") else "10001:10001")
        assert not service.get("privileged"), name
        assert not {"cap_add", "pid", "ipc", "network_mode", "devices"} & service.keys(), name
        assert not any(volume["type"] == "bind" for volume in service.get("volumes", [])), name


def test_only_service_and_console_can_be_reached_and_from_this_machine_alone(
    services: dict[str, dict[str, Any]], content: dict[str, Any],
) -> None:
    published = {name: [(port["host_ip"], port["published"], port["target"])
                        for port in service["ports"]]
                 for name, service in services.items() if service.get("ports")}
    assert published == {name: [("127.0.0.1", *ports)] for name, ports in PUBLISHED.items()}
    assert {name for name, service in services.items()
            if "edge" in service["networks"]} == set(PUBLISHED)
    closed = {name for name, network in content["networks"].items() if network.get("internal")}
    assert closed == {"inner", "data"}
    # What changes everything without asking who it is, and what holds the data.
    for name in ("dagster-webserver", "dagster-view", "postgres", "redis", "prometheus"):
        assert set(services[name]["networks"]) <= closed, name


def test_everything_waits_for_the_databases(services: dict[str, dict[str, Any]]) -> None:
    def waits(name: str) -> set[tuple[str, str]]:
        return {(each, how["condition"])
                for each, how in services[name].get("depends_on", {}).items()}

    assert waits("prepare") == {("postgres", "service_healthy"), ("redis", "service_healthy")}
    for name in services.keys() - FOREIGN - {"prepare"}:
        assert ("prepare", "service_completed_successfully") in waits(name), name
    for name in ("prometheus", "alertmanager"):
        assert ("monitoring-files", "service_completed_successfully") in waits(name)


def test_everything_that_stays_tells_its_health(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["healthcheck"].get("disable", False) == (name in ONCE), name
        assert service["restart"] == ("on-failure:3" if name in ONCE else "unless-stopped"), name


def test_images_are_ours_or_have_a_tag(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        image, _, tag = service["image"].rpartition(":")
        if name in FOREIGN:
            assert re.match(r"v?\d+[-.]", tag), name
        else:
            assert image.removeprefix("mlops-assets/") in TARGETS
            assert tag == project_version()


def test_graphics_cards_are_asked_for_in_one_profile_alone(
    services: dict[str, dict[str, Any]],
) -> None:
    asking = {name for name, service in services.items()
              if service.get("deploy", {}).get("resources", {}).get("reservations")}
    assert asking == {"code-gpu"}
    assert services["code-gpu"]["profiles"] == ["gpu"]
    assert services["code-gpu"]["command"] == services["code"]["command"]
    assert services["code-gpu"]["image"].startswith("mlops-assets/platform-cuda:")


def test_no_password_is_written_down() -> None:
    for path in (FOLDER / "compose.yaml", *(FOLDER / "compose").iterdir()):
        for line in path.read_text().splitlines():
            found = re.search(r"PASSWORD\w*(?:=|: )(.+)", line)
            assert not found or found[1].startswith("${MLOPS_"), f"{path.name}: {line}"


def test_passwords_reach_only_who_needs_them(services: dict[str, dict[str, Any]]) -> None:
    held = {name: json.dumps(service.get("environment") or {})
            for name, service in services.items()}
    assert {secret: {name for name in held if secret in held[name]}
            for secret in PASSWORDS.values()} == HOLDERS
    for name, service in services.items():
        assert not any(secret in json.dumps(service["command"] or "")
                       for secret in PASSWORDS.values()), name


def test_objects_are_for_who_stores_and_fetches_them() -> None:
    done = compose("--profile", "*", "config", "--format", "json", **PASSWORDS,
                   AWS_SECRET_ACCESS_KEY="of-bucket")
    holders = {name for name, service in json.loads(done.stdout)["services"].items()
               if "of-bucket" in json.dumps(service.get("environment") or {})}
    assert holders == {"prepare", "code", "code-gpu", "mlflow"}


def test_images_to_train_and_score_are_on_the_volume(services: dict[str, dict[str, Any]]) -> None:
    for name in ("MLOPS__DATASET__ROOT", "MLOPS__SCORING__ROOT"):
        home, _, folder = services["code"]["environment"][name].rpartition("/")
        assert home == services["code"]["environment"]["PLATFORM_HOME"]
        assert folder in FOLDERS, "made by `prepare`"


def test_the_one_service_divides_the_traffic_itself(services: dict[str, dict[str, Any]]) -> None:
    serving = [name for name, each in services.items() if "deploy.serve" in (each["command"] or ())]
    assert serving == ["service"]
    command = services["service"]["command"]
    assert command[-2:] == ["--slot", "any"]
    asked = subprocess.run([sys.executable, *command[1:3], "--help"], capture_output=True,
                           text=True, check=True, cwd=PROJECT_ROOT)
    assert "--slot {champion,challenger,any}" in asked.stdout
    assert "MLOPS_EDGE_ROUTE" not in services["service"]["environment"]
    assert services["console"]["environment"]["MLOPS_CONSOLE_SERVICE_URL"] == "http://service:8000"


def test_dagster_is_set_up_as_on_one_machine(tmp_path: Any) -> None:
    ours = yaml.safe_load((FOLDER / "compose" / "dagster.yaml").read_text())
    theirs = yaml.safe_load(render_dagster(Layout(tmp_path)))
    assert ours["storage"] == {"postgres": {"postgres_url": {"env": "MLOPS_DAGSTER_DATABASE_URL"}}}
    # Where things are, which one machine leaves to `DAGSTER_HOME`: that is read-only here.
    places = ("storage", "compute_logs", "local_artifact_storage")
    assert {name: value for name, value in ours.items() if name not in places} == {
        name: value for name, value in theirs.items() if name not in places}


def test_objects_go_to_a_bucket_where_one_is_named(services: dict[str, dict[str, Any]]) -> None:
    where = services["mlflow"]["command"].index("--artifacts-destination") + 1
    assert services["mlflow"]["command"][where] == "/platform/artifacts/mlflow"
    done = compose("config", "--format", "json", **PASSWORDS, MLOPS_ARTIFACTS_URL="s3://b/p")
    mlflow = json.loads(done.stdout)["services"]["mlflow"]
    assert mlflow["command"][where] == "s3://b/p/mlflow"
    assert mlflow["environment"]["MLOPS_ARTIFACTS_URL"] == "s3://b/p"


def test_monitoring_files_name_the_containers(
    services: dict[str, dict[str, Any]], tmp_path: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "platform"))
    command = services["monitoring-files"]["command"]
    assert command[:5] == ["python", "-m", "deploy.monitoring.write", "--out",
                           "/platform/run/monitoring"]
    out = tmp_path / "platform" / "run" / "monitoring"
    done = CliRunner().invoke(write_monitoring, ["--out", str(out), *command[5:]])
    assert done.exit_code == 0, done.output
    scraped = {job["job_name"]: job["static_configs"][0]["targets"][0] for job in
               yaml.safe_load((out / "prometheus.yml").read_text())["scrape_configs"]}
    assert {address.partition(":")[0] for address in scraped.values()} <= services.keys()
    assert (tmp_path / "platform" / "run" / "alert-token").stat().st_mode & 0o777 == 0o600
    # The folders that are mounted into the two programs.
    for name in ("prometheus", "alertmanager"):
        folder = next(each["volume"]["subpath"] for each in services[name]["volumes"]
                      if each.get("volume", {}).get("subpath"))
        assert (tmp_path / "platform" / folder).is_dir()
