"""Network policies: nothing is open by omission, and what must meet can meet."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.nodes_job import RENDEZVOUS_PORT
from tests.manifests import OVERLAYS, Manifest, containers, manifests, pods

COMPONENT = "app.kubernetes.io/component"
RUNS = ("run_worker", "step_worker")
# Who asks whom, on which port, and nobody else does.
PAIRS = {
    ("console", "dagster-webserver", 3000), ("score-folder", "dagster-webserver", 3000),
    ("console", "dagster-view", 3002), ("console", "mlflow", 5000),
    ("console", "service-champion", 8000), ("console", "service-challenger", 8000),
    *((each, "dagster-code", 3001)
      for each in ("dagster-webserver", "dagster-view", "dagster-daemon")),
    *((each, "mlflow", 5000) for each in ("operator", *RUNS)),
    ("training_worker", "training_worker", RENDEZVOUS_PORT),
}
# From where the edge and Prometheus come in.
NAMESPACES = {
    "service-champion": {"mlops-assets/edge", "mlops-assets/monitoring"},
    "service-challenger": {"mlops-assets/edge", "mlops-assets/monitoring"},
    "console": {"mlops-assets/edge", "mlops-assets/monitoring"},
    "mlflow": {"mlops-assets/monitoring"},
}


def policies(overlay: str) -> list[Manifest]:
    return [each for each in manifests(overlay) if each["kind"] == "NetworkPolicy"]


def ports_of(overlay: str) -> dict[str, set[int]]:
    """Component to the ports that its containers have; those of runs have none.

    Of the ports that a training's pods choose, the one that meets them stands for all.
    """
    return {pod["metadata"]["labels"][COMPONENT]: {
        port["containerPort"] for container in containers(pod)
        for port in container.get("ports", ())} for _, pod in pods(overlay)
    } | {each: set() for each in RUNS} | {"training_worker": {RENDEZVOUS_PORT}}


def selects(selector: Manifest, component: str) -> bool:
    wanted = selector.get("matchLabels", {}).get(COMPONENT, component)
    among = [each["values"] for each in selector.get("matchExpressions", ())]
    return wanted == component and all(component in values for values in among)


def has(rule: Manifest, port: int) -> bool:
    """Whether a port is one of a rule's."""
    return bool(rule["port"] <= port <= rule.get("endPort", rule["port"]))


def allowed(overlay: str, direction: str, one: str, other: str, port: int) -> bool:
    """Whether a policy of ``one`` lets it speak with ``other`` on a port."""
    side = "from" if direction == "Ingress" else "to"
    for policy in policies(overlay):
        spec = policy["spec"]
        if direction not in spec["policyTypes"] or not selects(spec["podSelector"], one):
            continue
        for rule in spec.get(direction.lower(), ()):
            peers = [each["podSelector"] for each in rule.get(side, ()) if "podSelector" in each]
            fits = side not in rule or any(selects(peer, other) for peer in peers)
            if fits and any(has(each, port) for each in rule["ports"]):
                return True
    return False


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_shut_first(overlay: str) -> None:
    (deny,) = [each for each in policies(overlay) if each["metadata"]["name"] == "default-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("overlay", ["production", "gpu", "nginx"])
def test_pairs_may_meet_and_no_others(overlay: str) -> None:
    ports = ports_of(overlay)
    met = {
        (one, other, port) for one in ports for other in ports for port in ports[other]
        if allowed(overlay, "Egress", one, other, port)
        and allowed(overlay, "Ingress", other, one, port)}
    assert met == PAIRS


# Ports of what is outside the namespace: PostgreSQL, Redis, buckets and providers, the API server,
# a collector of spans, Prometheus and Alertmanager.
OUTSIDE = {
    "service-champion": {5432, 6379, 443, 4318}, "service-challenger": {5432, 6379, 443, 4318},
    "operator": {5432, 6379, 443, 6443}, "dagster-code": {5432, 443}, "mlflow": {5432, 443},
    "prepare": {5432, 443}, "score-folder": set[int](), "dagster-view": {5432},
    "training_worker": {443},
    "console": {5432, 443, 6443, 9090, 9093},
    **{each: {5432, 443, 6443} for each in ("dagster-webserver", "dagster-daemon", "reaper")},
    **{each: {5432, 6379, 443, 6443} for each in RUNS},
}


@pytest.mark.parametrize("overlay", ["production", "gpu", "nginx"])
def test_each_reaches_outside_what_it_needs_and_no_more(overlay: str) -> None:
    for component in ports_of(overlay):
        reached = {
            port["port"] for policy in policies(overlay)
            if selects(policy["spec"]["podSelector"], component)
            for rule in policy["spec"].get("egress", ())
            if not any("podSelector" in peer for peer in rule.get("to", ()))
            for port in rule["ports"]}
        assert reached - {53} == OUTSIDE[component], component


@pytest.mark.parametrize("overlay", ["production", "nginx"])
def test_namespaces_come_in_where_they_must(overlay: str) -> None:
    found: dict[str, set[str]] = {}
    for component in ports_of(overlay):
        for policy in policies(overlay):
            if selects(policy["spec"]["podSelector"], component):
                found.setdefault(component, set()).update(_namespaces(policy["spec"]))
    assert {key: value for key, value in found.items() if value} == NAMESPACES


@pytest.mark.parametrize("overlay", ["production", "nginx"])
def test_prometheus_reaches_of_mlflow_the_metrics_alone(overlay: str) -> None:
    (policy,) = [each for each in policies(overlay) if each["metadata"]["name"] == "mlflow"]
    open_to_namespaces = [rule["ports"] for rule in policy["spec"]["ingress"]
                          if any("namespaceSelector" in peer for peer in rule["from"])]
    assert open_to_namespaces == [[{"port": 5001}]]


def _namespaces(spec: dict[str, Any]) -> set[str]:
    return {key for rule in spec.get("ingress", ()) for peer in rule.get("from", ())
            if "namespaceSelector" in peer for key in peer["namespaceSelector"]["matchLabels"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ports_and_components_of_policies_exist(overlay: str) -> None:
    ports = ports_of(overlay)
    for policy in policies(overlay):
        spec = policy["spec"]
        mine = [each for each in ports if selects(spec["podSelector"], each)]
        assert mine, policy["metadata"]["name"]
        for rule in spec.get("ingress", ()):
            for port in rule["ports"]:
                assert any(has(port, mine_too) for each in mine for mine_too in ports[each]), \
                    policy["metadata"]
        for rule in spec.get("egress", ()):
            for peer in rule.get("to", ()):
                if "podSelector" not in peer:
                    continue
                others = [each for each in ports if selects(peer["podSelector"], each)]
                for port in rule["ports"]:
                    assert others
                    assert all(any(has(port, theirs) for theirs in ports[each]) for each in others)


@pytest.mark.parametrize("overlay", ["dev"])
def test_every_pod_reaches_the_stores_of_a_development_cluster(overlay: str) -> None:
    for store, port in (("postgres", 5432), ("s3", 9000)):
        assert allowed(overlay, "Ingress", store, "run_worker", port)
        assert allowed(overlay, "Egress", "run_worker", store, port)
    assert allowed(overlay, "Egress", "service-champion", "redis", 6379)
    assert not allowed(overlay, "Egress", "dagster-view", "redis", 6379)
