"""The manifests as a cluster would get them, and what checks them, each fetched on first use."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.tools import tool_folder
from mlops_assets.config import PROJECT_ROOT

K8S = PROJECT_ROOT / "deploy" / "k8s"
OVERLAYS = ("dev", "production", "gpu", "nginx")
VERSIONS = ("1.31", "1.34", "1.37")
CRDS = ("gateway.networking.k8s.io/", "monitoring.coreos.com/")
Manifest = dict[str, Any]


def render(folder: Path) -> str:
    """What ``kubectl apply -k`` would send."""
    done = subprocess.run(
        [tool_folder("manifests") / "kubectl", "kustomize", folder],
        capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def rendered(overlay: str) -> str:
    """One of the project's overlays."""
    return render(K8S / "overlays" / overlay)


@cache
def manifests(overlay: str) -> list[Manifest]:
    """Its documents; no test changes them."""
    return list(yaml.load_all(rendered(overlay), Loader=yaml.CSafeLoader))


def is_custom(manifest: Manifest) -> bool:
    """Whether a cluster knows its kind only by a CRD."""
    return str(manifest["apiVersion"]).startswith(CRDS)


def faults(documents: Iterable[Manifest], version: str, folder: Path) -> str:
    """What is wrong with them for one version of Kubernetes; a kind without a schema is wrong."""
    path = folder / f"documents-{version}.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    done = subprocess.run(
        [tool_folder("manifests") / "kubernetes-validate", "--strict", "-k", version, path],
        capture_output=True, text=True, check=False, timeout=120)
    said = [line for line in (done.stdout + done.stderr).splitlines()
            if line.strip() and not line.startswith("INFO")]
    return "\n".join(said) or ("" if done.returncode == 0 else f"exit {done.returncode}")


def pod_of(manifest: Manifest) -> Manifest | None:
    """Its pod template, if it has one."""
    spec = manifest.get("spec") or {}
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec.get("template") if manifest["kind"] in (
        "Deployment", "StatefulSet", "Job", "CronJob") else None


def pods(overlay: str) -> Iterator[tuple[str, Manifest]]:
    """Name and pod template of everything that makes pods."""
    for manifest in manifests(overlay):
        if (pod := pod_of(manifest)) is not None:
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", pod


def containers(pod: Manifest) -> list[Manifest]:
    """Those that start first, and the others."""
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def config_map(overlay: str, name: str) -> dict[str, str]:
    """The data of one ConfigMap."""
    return next(dict(each["data"]) for each in manifests(overlay)
                if each["kind"] == "ConfigMap" and each["metadata"]["name"] == name)
