"""Manifests before the judges: schemas of Kubernetes, models of custom resources, checkov."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from deploy.tools import tool_folder
from mlops_assets.config import PROJECT_ROOT
from tests.manifests import (
    OVERLAYS,
    VERSIONS,
    Manifest,
    faults,
    is_custom,
    manifests,
    rendered,
)

CHECKS = PROJECT_ROOT / "deploy" / "checks"
NODE = PROJECT_ROOT / "deploy" / "node.sh"
EXCEPTIONS = CHECKS / "kubernetes.yaml"


@cache
def models() -> str:
    """The folder, below the project's, with the models of custom resources and what asks them."""
    folder = tool_folder("manifests").parent / "models"
    lock = (CHECKS / "package-lock.json").read_text()
    stamp = folder / ".installed"
    if not stamp.is_file() or stamp.read_text() != lock:
        folder.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(CHECKS / name, folder)
        place = str(folder.relative_to(PROJECT_ROOT))
        subprocess.run([NODE, place, "npm", "ci", "--no-audit", "--no-fund"],
                       check=True, capture_output=True, timeout=300)
        stamp.write_text(lock)
    shutil.copy(CHECKS / "crds.mjs", folder)
    return str(folder.relative_to(PROJECT_ROOT))


def custom_faults(documents: list[Manifest]) -> list[str]:
    """What the models of the custom resources' own projects say."""
    done = subprocess.run(
        [NODE, models(), "node", "crds.mjs"], input=json.dumps(documents), capture_output=True,
        text=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    assert (done.returncode == 1) == bool(done.stdout.strip()), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_version_of_kubernetes_takes_them(overlay: str, version: str, tmp_path: Path) -> None:
    plain = [each for each in manifests(overlay) if not is_custom(each)]
    assert len(plain) > 40
    assert faults(plain, version, tmp_path) == ""


def test_a_wrong_field_and_an_unknown_kind_are_found(tmp_path: Path) -> None:
    job = next(each for each in manifests("production") if each["kind"] == "Job")
    wrong = job | {"spec": job["spec"] | {"backOffLimit": 3}}
    assert "backOffLimit" in faults([wrong], VERSIONS[-1], tmp_path)
    assert faults([job | {"kind": "Jobb"}], VERSIONS[-1], tmp_path)


def test_models_of_custom_resources_take_them() -> None:
    custom = [each for overlay in OVERLAYS for each in manifests(overlay) if is_custom(each)]
    kinds = {each["kind"] for each in custom}
    assert kinds == {"Gateway", "HTTPRoute", "ServiceMonitor", "PrometheusRule"}
    assert custom_faults(custom) == []


def test_a_wrong_custom_resource_is_found() -> None:
    custom = [each for each in manifests("production") if is_custom(each)]
    route = next(each for each in custom if each["metadata"]["name"] == "service"
                 and each["kind"] == "HTTPRoute")
    rule = route["spec"]["rules"][0]
    typed = route | {"spec": route["spec"] | {"rules": [
        rule | {"backendRefs": [{"name": "a", "port": 8000, "weight": "many"}]}]}}
    misspelt = route | {"spec": route["spec"] | {"rule": []}}
    unknown = route | {"kind": "HTTPPath"}
    said = custom_faults([typed, misspelt, unknown])
    assert [line.rpartition(": ")[2] for line in said] == [
        "data/spec/rules/0/backendRefs/0/weight must be integer", "unknown field .spec.rule",
        "no model for gateway.networking.k8s.io/v1"]


def test_checkov_finds_nothing_but_the_exceptions(tmp_path: Path) -> None:
    files = []
    for overlay in OVERLAYS:
        files.append(tmp_path / f"{overlay}.yaml")
        files[-1].write_text(rendered(overlay))
    options = [word for path in files for word in ("-f", str(path))]
    done = subprocess.run(
        [tool_folder("checkov") / "checkov", *options, "--framework", "kubernetes",
         "--skip-download", "--quiet", "--compact", "-o", "json"],
        capture_output=True, text=True, check=False, timeout=400)
    report = json.loads(done.stdout)
    found = {each["check_id"] for each in report["results"]["failed_checks"]}
    assert report["summary"]["passed"] > 1000
    assert found == set(yaml.safe_load(EXCEPTIONS.read_text())["skip-check"])


def test_every_exception_has_its_reason() -> None:
    lines = EXCEPTIONS.read_text().splitlines()
    for before, line in pairwise(lines):
        if line.strip().startswith("- CKV"):
            assert before.strip().startswith("# "), line
