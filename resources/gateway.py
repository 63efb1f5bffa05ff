"""The share of each version at the edge of a cluster: weights of an HTTPRoute, or of an Ingress.

``MLOPS_EDGE_ROUTE`` names it, as ``httproute/<namespace>/<name>`` (Gateway API v1, `weight` of
``backendRefs``) or ``ingress/<namespace>/<name>`` (ingress-nginx, the canary's `canary-weight`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final, Literal

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.rollout import RolloutState

VARIABLE: Final = "MLOPS_EDGE_ROUTE"
CHAMPION, CHALLENGER = "service-champion", "service-challenger"
TOTAL: Final = 10_000  # so that 0.01 % of the traffic can be said
NGINX: Final = "nginx.ingress.kubernetes.io"
ATTEMPTS: Final = 5
CONFLICT: Final = 409
SECONDS: Final = 10
KINDS: Final = {"httproute": ("gateway.networking.k8s.io", "v1", "httproutes"),
                "ingress": ("networking.k8s.io", "v1", "ingresses")}


class EdgeError(PlatformError):
    """The route can not be read or written; the state of serving stays, the edge lags behind."""

    transient = True


@dataclass(frozen=True, slots=True)
class EdgeRoute:
    """One route of the cluster that this process runs in."""

    kind: Literal["httproute", "ingress"]
    namespace: str
    name: str

    def follow(self, state: RolloutState) -> None:
        """Give each version the share that the state says; repeatable.

        Raises:
            EdgeError: the cluster does not answer or refuses, there is none, or the route has no
                such backends.
        """
        share = challenger_share(state)
        group, version, plural = KINDS[self.kind]
        place = (group, version, self.namespace, plural, self.name)
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        api = _custom_objects()
        for _ in range(ATTEMPTS):
            try:
                found = api.get_namespaced_custom_object(*place, _request_timeout=SECONDS)
                if not self._weigh(found, share):
                    return
                # The version that was read goes along: a change in between is a conflict.
                api.replace_namespaced_custom_object(*place, found, _request_timeout=SECONDS)
                return
            except ApiException as error:
                if error.status != CONFLICT:
                    raise EdgeError(f"{self}: {error.status} {error.reason}; see the role of this "
                                    "pod's service account") from error
            except HTTPError as error:
                raise EdgeError(f"{self}: {error}") from error
        raise EdgeError(f"{self}: somebody else changes it all the time")

    def _weigh(self, found: dict[str, Any], share: float) -> bool:
        """Write the weights into an object as read; whether they were others."""
        if self.kind == "ingress":
            notes = found["metadata"].setdefault("annotations", {})
            wanted = {f"{NGINX}/canary": "true", f"{NGINX}/canary-weight-total": str(TOTAL),
                      f"{NGINX}/canary-weight": str(round(TOTAL * share))}
            changed = any(notes.get(key) != value for key, value in wanted.items())
            notes.update(wanted)
            return changed
        weights = {CHALLENGER: round(TOTAL * share)}
        weights[CHAMPION] = TOTAL - weights[CHALLENGER]
        changed = False
        rules = [rule["backendRefs"] for rule in found["spec"].get("rules", [])
                 if {ref["name"] for ref in rule.get("backendRefs", [])} == weights.keys()]
        if not rules:
            raise EdgeError(f"{self} has no rule with the backends {CHAMPION} and {CHALLENGER}")
        for ref in (ref for refs in rules for ref in refs):
            changed |= ref.get("weight") != weights[ref["name"]]
            ref["weight"] = weights[ref["name"]]
        return changed

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


def challenger_share(state: RolloutState) -> float:
    """Share of the traffic that the challenger answers, 0 to 1; a shadow answers none."""
    challenger = state.slots.get("challenger")
    return 0.0 if challenger is None else challenger.weight


def open_route() -> EdgeRoute | None:
    """The route that ``MLOPS_EDGE_ROUTE`` names, or None when it is not set.

    Raises:
        EdgeError: it names none.
    """
    given = os.environ.get(VARIABLE, "")
    if not given:
        return None
    match given.split("/"):
        case ["httproute" | "ingress" as kind, namespace, name] if namespace and name:
            return EdgeRoute(kind, namespace, name)
    raise EdgeError(f"{VARIABLE} is `{given}`; write httproute/<namespace>/<name>, or ingress/…")


def _custom_objects() -> Any:
    from kubernetes import client, config

    try:
        config.load_incluster_config()
    except config.ConfigException:
        try:
            config.load_kube_config()
        except config.ConfigException as error:
            raise EdgeError(
                f"{VARIABLE} is set, but this is no pod with a service account, and there is no "
                "kubeconfig: run it where there is one, or unset the variable") from error
    return client.CustomObjectsApi()
