"""What must hold of the manifests that no schema knows."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster_shared.serdes import serialize_value

from deploy.cluster.instance import make_instance
from deploy.cluster.pods import NAMESPACE, RUN_ACCOUNT, SECRETS, container_security, pod_security
from deploy.cluster.render import render_files
from deploy.instance import common_instance
from deploy.layout import Layout
from deploy.prepare_cluster import FOLDERS
from deploy.programs import START_SECONDS, render_dagster
from mlops_assets.config import PROJECT_ROOT
from tests.manifests import (
    OVERLAYS,
    Manifest,
    config_map,
    containers,
    manifests,
    pod_of,
    pods,
    rendered,
)

VERSION = "0.1.0"
# Whose images are not of this project.
FOREIGN = {"postgres", "redis", "s3"}
# Which accounts may speak to the API server, and what for.
TOKENS = {"dagster-daemon", "dagster-webserver", "reaper", "console", "operator"}
PROGRAMS = {"dagster", "dagster-webserver", "dagster-daemon", "python", "sleep"}
MADE_BY_OPERATOR = {"dagster-database", "mlflow-database", "platform-database", "service-redis",
                    "artifacts", "edge-certificate"}
# Pods start without them.
OPTIONAL = {"console-sign-on", "service-settings", "service-files"}

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


def ours(overlay: str) -> list[tuple[str, Manifest]]:
    return [(name, pod) for name, pod in pods(overlay) if name.partition("/")[2] not in FOREIGN]


def test_generated_files_are_as_the_code_makes_them() -> None:
    for path, text in render_files().items():
        assert path.read_text() == text, f"run `python -m deploy.cluster.render`: {path}"


def test_cluster_and_one_machine_differ_in_storage_and_launcher_only(
    tmp_path: Path
) -> None:
    cluster, machine = make_instance(), yaml.safe_load(render_dagster(Layout(tmp_path)))
    alone = {"storage", "run_launcher", "local_artifact_storage", "compute_logs"}
    assert {key: cluster[key] for key in cluster if key not in alone} == common_instance()
    # A pod may wait for its image; a process does not.
    assert {key: machine[key] for key in machine if key != "storage"} == common_instance(
        START_SECONDS)


@every_overlay
def test_pods_are_nobodys_root_and_change_nothing_of_their_image(overlay: str) -> None:
    for name, pod in pods(overlay):
        assert pod["spec"]["securityContext"] == pod_security(), name
        assert pod["spec"]["enableServiceLinks"] is False, name
        for container in containers(pod):
            assert container["securityContext"] == container_security(), name


@every_overlay
def test_pods_have_limits(overlay: str) -> None:
    for name, pod in pods(overlay):
        for container in containers(pod):
            for each in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][each]), name


@every_overlay
def test_what_stays_is_probed_by_name_of_a_port_that_it_has(overlay: str) -> None:
    for manifest in manifests(overlay):
        if manifest["kind"] not in ("Deployment", "StatefulSet"):
            continue
        for container in containers(manifest["spec"]["template"]):
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
            for probe in ("readinessProbe", "livenessProbe"):
                asked = container[probe]
                way = asked.get("httpGet") or asked.get("tcpSocket")
                assert way is None or way["port"] in ports
                assert "grpc" not in asked or asked["grpc"]["port"] in ports.values()


@every_overlay
def test_no_secret_is_written_down_where_a_pod_is_described(overlay: str) -> None:
    secret = {
        value for each in manifests(overlay) if each["kind"] == "Secret"
        for value in each.get("stringData", each.get("data", {})).values()}
    for name, pod in pods(overlay):
        text = json.dumps(pod)
        assert "fake-for-development" not in text, name
        assert not [value for value in secret if value in text], name
        assert "://" not in re.sub(r'"http://[a-z-]+:\d+"', "", text), name
        for container in containers(pod):
            for variable in container.get("env", ()):
                if re.search("PASSWORD|SECRET|KEY|TOKEN|USER", variable["name"]):
                    assert "valueFrom" in variable, name
    config = config_map(overlay, "platform")
    assert not [key for key in config if re.search("PASSWORD|SECRET|TOKEN|DATABASE|REDIS", key)]
    assert not [key for key, value in config.items() if re.search(r"://[^/]*:[^/]*@", value)]


@every_overlay
def test_every_config_map_secret_claim_and_account_is_there(overlay: str) -> None:
    made: dict[str, set[str]] = {}
    for each in manifests(overlay):
        made.setdefault(each["kind"], set()).add(each["metadata"]["name"])
    secrets = made.get("Secret", set()) | (MADE_BY_OPERATOR if overlay != "dev" else set())
    for name, pod in pods(overlay):
        assert pod["spec"]["serviceAccountName"] in made["ServiceAccount"], name
        mounted = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        mounted |= {"data"} if name.startswith("StatefulSet") else set()
        for volume in pod["spec"].get("volumes", ()):
            assert volume.get("configMap", {"name": "platform"})["name"] in made["ConfigMap"], name
            if secret := volume.get("secret"):
                assert secret["optional"] and secret["secretName"] in OPTIONAL, name
            claim = volume.get("persistentVolumeClaim", {"claimName": "platform"})
            assert claim["claimName"] in made["PersistentVolumeClaim"], name
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= mounted, name
            for source in container.get("envFrom", ()):
                assert source.get("configMapRef", {"name": "platform"})["name"] in made["ConfigMap"]
                secret = source.get("secretRef", {"name": "artifacts"})
                known = OPTIONAL if secret.get("optional") else secrets
                assert secret["name"] in known, name
    assert set(SECRETS) <= secrets
    assert RUN_ACCOUNT in made["ServiceAccount"]


@every_overlay
def test_images_are_of_one_version(overlay: str) -> None:
    pattern = re.compile(rf"mlops-assets/(platform|console|service):{re.escape(VERSION)}")
    for name, pod in ours(overlay):
        for container in containers(pod):
            assert pattern.fullmatch(container["image"]), name
    project = (PROJECT_ROOT / "pyproject.toml").read_text()
    assert f'version = "{VERSION}"' in project
    assert f"Job/prepare-{VERSION.replace('.', '-')}" in dict(ours(overlay))


@every_overlay
def test_commands_name_programs_and_modules_that_exist(overlay: str) -> None:
    for name, pod in ours(overlay):
        for container in containers(pod):
            command = container["command"]
            assert command[0] in PROGRAMS, name
            assert "args" not in container, name
            if "-m" in command:
                module = command[command.index("-m") + 1]
                assert importlib.util.find_spec(module) is not None, f"{name}: {module}"


@every_overlay
def test_services_routes_and_scalers_lead_somewhere(overlay: str) -> None:
    found = manifests(overlay)
    labels = [pod["metadata"]["labels"] for _, pod in pods(overlay)]
    services: dict[str, set[int]] = {}
    for each in found:
        if each["kind"] != "Service":
            continue
        selector = each["spec"]["selector"].items()
        (template,) = [pod for _, pod in pods(overlay)
                       if selector <= pod["metadata"]["labels"].items()]
        names = {port["name"] for container in containers(template)
                 for port in container["ports"]}
        assert {port["targetPort"] for port in each["spec"]["ports"]} <= names
        services[each["metadata"]["name"]] = {port["port"] for port in each["spec"]["ports"]}
    for reference in _references(found):
        assert reference[1] in services[reference[0]], reference
    for each in found:
        if each["kind"] == "PodDisruptionBudget":
            wanted = each["spec"]["selector"]["matchLabels"].items()
            assert any(wanted <= label.items() for label in labels)
        if each["kind"] == "HorizontalPodAutoscaler":
            assert f"Deployment/{each['spec']['scaleTargetRef']['name']}" in dict(pods(overlay))
        if each["kind"] == "Deployment" and each["metadata"]["name"].startswith("service-"):
            assert "replicas" not in each["spec"], "the autoscaler's, not ours"


def _references(found: list[Manifest]) -> list[tuple[str, int]]:
    """Service and port of every route, ingress, and address in the platform's ConfigMap."""
    references = []
    for each in found:
        if each["kind"] == "HTTPRoute":
            references += [(backend["name"], backend["port"]) for rule in each["spec"]["rules"]
                           for backend in rule["backendRefs"]]
        if each["kind"] == "Ingress":
            references += [
                (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["number"])
                for rule in each["spec"]["rules"] for path in rule["http"]["paths"]]
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "platform":
            references += [(host, int(port)) for value in each["data"].values()
                           for host, port in re.findall(r"^http://([a-z-]+):(\d+)$", value)]
    assert references
    return references


@every_overlay
def test_namespace_is_one_and_restricted(overlay: str) -> None:
    found = manifests(overlay)
    (namespace,) = [each for each in found if each["kind"] == "Namespace"]
    assert namespace["metadata"]["name"] == NAMESPACE
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for each in found:
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == NAMESPACE


def test_only_who_needs_it_has_a_token() -> None:
    accounts = {pod["spec"]["serviceAccountName"] for _, pod in pods("production")
                if pod["spec"].get("automountServiceAccountToken") is not False}
    assert accounts == TOKENS
    for each in manifests("production"):
        if each["kind"] == "ServiceAccount":
            assert each["automountServiceAccountToken"] is False
    assert rendered("production").count("kind: ClusterRole") == 0


@pytest.mark.parametrize(("overlay", "kind"), [
    ("production", "httproutes"), ("nginx", "ingresses")])
def test_only_they_may_shift_the_traffic(
    overlay: str, kind: str
) -> None:
    found = manifests(overlay)
    (role,) = [each for each in found if each["metadata"]["name"] == "shift-traffic"]
    (rule,) = role["rules"]
    assert (rule["resources"], rule["verbs"]) == ([kind], ["get", "update"])
    _, namespace, name = config_map(overlay, "platform")["MLOPS_EDGE_ROUTE"].split("/")
    assert (namespace, rule["resourceNames"]) == (NAMESPACE, [name])
    bound = {subject["name"] for each in found if each["kind"] == "RoleBinding"
             and each["roleRef"]["name"] == "shift-traffic" for subject in each["subjects"]}
    assert bound == {"dagster-run", "console", "operator", "reaper"}


@every_overlay
def test_traffic_is_divided_by_the_edge_or_else_by_the_service(overlay: str) -> None:
    slots = {name: container["command"][-2:] for name, pod in ours(overlay)
             for container in containers(pod) if "deploy.serve" in container["command"]}
    edge = config_map(overlay, "platform")["MLOPS_EDGE_ROUTE"]
    assert bool(edge) == (overlay != "dev")
    assert slots == ({f"Deployment/service-{slot}": ["--slot", slot]
                      for slot in ("champion", "challenger")} if edge else
                     {"Deployment/service-champion": ["--slot", "any"]})


@every_overlay
def test_who_shifts_the_traffic_reads_the_state_from_its_database(overlay: str) -> None:
    for name, pod in pods(overlay):
        if pod["spec"]["serviceAccountName"] in ("console", "operator", "reaper"):
            (container,) = pod["spec"]["containers"]
            assert {"secretRef": {"name": "platform-database"}} in container["envFrom"], name
    assert "platform-database" in SECRETS


@every_overlay
def test_people_and_sensors_have_the_stores_that_runs_have(overlay: str) -> None:
    for name in ("operator", "dagster-code"):
        pod = dict(pods(overlay))[f"Deployment/{name}"]
        (container,) = pod["spec"]["containers"]
        held = {each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each}
        assert held == set(SECRETS), name
        assert {each["mountPath"] for each in container["volumeMounts"]} == {
            "/platform", "/opt/dagster", "/tmp"}, name


@every_overlay
def test_images_to_train_and_score_are_on_the_shared_volume(overlay: str) -> None:
    config = config_map(overlay, "platform")
    for name in ("MLOPS__DATASET__ROOT", "MLOPS__SCORING__ROOT"):
        home, _, folder = config[name].rpartition("/")
        assert home == config["PLATFORM_HOME"]
        assert folder in FOLDERS, "made by the Job `prepare`"


@pytest.mark.parametrize(("overlay", "makers"), [
    ("production", {"dagster-daemon"}), ("nginx", {"dagster-daemon"}), ("dev", {"dagster-daemon"}),
    ("gpu", {"dagster-daemon", "dagster-run"}),
])
def test_only_they_may_make_jobs(overlay: str, makers: set[str]) -> None:
    found = manifests(overlay)
    roles = {each["metadata"]["name"]: each["rules"] for each in found if each["kind"] == "Role"}
    making = {name: {what for rule in rules if "create" in rule["verbs"]
                     for what in rule["resources"]} for name, rules in roles.items()}
    assert {name: what for name, what in making.items() if what} == {
        "launch-runs": {"jobs"}, "train-on-nodes": {"services"}}
    bound = {name: {subject["name"] for each in found if each["kind"] == "RoleBinding"
                    and each["roleRef"]["name"] == name for subject in each["subjects"]}
             for name in ("launch-runs", "train-on-nodes")}
    assert bound == {"launch-runs": makers, "train-on-nodes": makers - {"dagster-daemon"}}
    for rules in roles.values():
        assert not [rule for rule in rules if "*" in json.dumps(rule) or "secrets" in
                    rule["resources"]]


def test_a_pod_template_is_where_it_is_looked_for() -> None:
    kinds = {each["kind"] for each in manifests("dev") if pod_of(each) is not None}
    assert kinds == {"Deployment", "StatefulSet", "Job", "CronJob"}


def test_dagster_takes_its_file_with_only_the_names_of_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DAGSTER_DATABASE_URL", "postgresql+psycopg2://a:hidden@db/dagster")
    (tmp_path / "dagster.yaml").write_text(config_map("production", "dagster-instance")[
        "dagster.yaml"])
    reference = InstanceRef.from_dir(str(tmp_path))
    storage = reference.storage_data
    assert storage is not None
    assert storage.class_name == "DagsterPostgresStorage"
    # Dagster repeats all of it in the arguments of a run's Job.
    assert "hidden" not in serialize_value(reference)
    assert reference.settings["run_monitoring"]["enabled"] is True
