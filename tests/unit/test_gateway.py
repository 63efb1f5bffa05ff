"""Weights at the edge: read, changed and written back through a real HTTP API."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.contracts.rollout import RolloutState, SlotAssignment
from resources.gateway import VARIABLE, EdgeError, EdgeRoute, challenger_share, open_route
from tests.loopback import loopback_server

ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/mlops/httproutes/service"
INGRESS = "/apis/networking.k8s.io/v1/namespaces/mlops/ingresses/service-challenger"


def state(weight: float | None, *, shadow: bool = False) -> RolloutState:
    slots = {"champion": SlotAssignment(model_version="a", bento_tag="c:a", weight=1.0)}
    if weight is not None:
        slots["shadow" if shadow else "challenger"] = SlotAssignment(
            model_version="b", bento_tag="c:b", weight=weight)
    return RolloutState.model_validate({"revision": 1, "slots": slots})


def named(monkeypatch: pytest.MonkeyPatch, name: str) -> EdgeRoute:
    """The route that the variable names."""
    monkeypatch.setenv(VARIABLE, name)
    route = open_route()
    assert route is not None
    return route


class Cluster:
    """Two objects with optimistic locking, as the API server keeps them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            ROUTE: {"metadata": {"name": "service", "resourceVersion": "7"}, "spec": {"rules": [
                {"backendRefs": [{"name": "service-champion", "port": 8000, "weight": 1},
                                 {"name": "service-challenger", "port": 8000, "weight": 0}]},
                {"backendRefs": [{"name": "console", "port": 8080}]}]}},
            INGRESS: {"metadata": {"name": "service-challenger", "resourceVersion": "1"},
                      "spec": {}},
        }
        self.interrupted = 0
        self.writes = 0
        self.status = 200

    def read(self, path: str) -> dict[str, Any]:
        return copy.deepcopy(self.objects[path])

    def write(self, path: str, body: dict[str, Any]) -> int:
        there = self.objects[path]["metadata"]
        if self.interrupted:
            self.interrupted -= 1
            there["resourceVersion"] = str(int(there["resourceVersion"]) + 1)
        if body["metadata"]["resourceVersion"] != there["resourceVersion"]:
            return 409
        body["metadata"]["resourceVersion"] = str(int(there["resourceVersion"]) + 1)
        self.objects[path] = body
        self.writes += 1
        return 200

    def weights(self) -> dict[str, int]:
        refs = self.objects[ROUTE]["spec"]["rules"][0]["backendRefs"]
        return {ref["name"]: ref["weight"] for ref in refs}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(made.status, made.read(self.path))

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._answer(made.write(self.path, body), made.read(self.path))

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    with loopback_server(Handler) as url:
        config = tmp_path / "kubeconfig"
        config.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": url}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": {"token": "secret-token"}}]}))
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION",
                            str(config))
        yield made


@pytest.mark.parametrize(("weight", "expected"), [
    (None, (10_000, 0)), (0.01, (9_900, 100)), (0.5, (5_000, 5_000)), (1.0, (0, 10_000)),
])
def test_the_route_follows_the_state(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, weight: float | None,
    expected: tuple[int, int],
) -> None:
    route = named(monkeypatch, "httproute/mlops/service")
    for _ in range(2):
        route.follow(state(weight))
        assert tuple(cluster.weights().values()) == expected
    # The second time there was nothing to change, and other rules are left alone.
    assert cluster.writes == 1
    assert cluster.objects[ROUTE]["spec"]["rules"][1]["backendRefs"] == [
        {"name": "console", "port": 8080}]


def test_a_change_in_between_is_not_overwritten(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = named(monkeypatch, "httproute/mlops/service")
    cluster.interrupted = 2
    route.follow(state(0.1))
    assert cluster.weights()["service-challenger"] == 1_000
    cluster.interrupted = 99
    with pytest.raises(EdgeError, match="somebody else"):
        route.follow(state(0.2))


def test_the_ingress_follows_the_state(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    route = named(monkeypatch, "ingress/mlops/service-challenger")
    route.follow(state(0.01))
    notes = cluster.objects[INGRESS]["metadata"]["annotations"]
    assert notes == {"nginx.ingress.kubernetes.io/canary": "true",
                     "nginx.ingress.kubernetes.io/canary-weight-total": "10000",
                     "nginx.ingress.kubernetes.io/canary-weight": "100"}


def test_refusals_name_the_route_and_no_token(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = named(monkeypatch, "httproute/mlops/service")
    cluster.status = 403
    with pytest.raises(EdgeError, match="httproute/mlops/service: 403") as caught:
        route.follow(state(0.1))
    assert "secret-token" not in str(caught.value)
    cluster.status = 200
    cluster.objects[ROUTE]["spec"]["rules"] = []
    with pytest.raises(EdgeError, match="no rule"):
        route.follow(state(0.1))


@pytest.mark.parametrize("given", ["service", "httproute/service", "service/mlops/x", "ingress//x"])
def test_a_wrong_name_is_an_error(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(EdgeError, match=VARIABLE):
        open_route()


def test_unset_is_no_route_and_a_shadow_answers_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert open_route() is None
    assert challenger_share(state(1.0, shadow=True)) == 0.0
