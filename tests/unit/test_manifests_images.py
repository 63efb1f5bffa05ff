"""A run has the image of the code that planned it, from whichever registry an overlay names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.manifests import K8S, OVERLAYS, Manifest, manifests, pod_of, render

OURS = "mlops-assets/"


def images_of(found: list[Manifest]) -> set[str]:
    """Of every pod, of runs, and of the training."""
    images = set()
    for each in found:
        pod = pod_of(each)
        for container in pod["spec"]["containers"] if pod else ():
            images.add(container["image"])
            images |= {variable["value"] for variable in container.get("env", ())
                       if variable["name"] == "DAGSTER_CURRENT_IMAGE"}
        if each["kind"] == "ConfigMap":
            images |= {value for key, value in each["data"].items() if key.endswith("_IMAGE")}
    return images


def run_image(found: list[Manifest]) -> tuple[str, str]:
    """The code location's image, and that which it gives to runs."""
    (code,) = [each["spec"]["template"]["spec"]["containers"][0] for each in found
               if each["kind"] == "Deployment" and each["metadata"]["name"] == "dagster-code"]
    (said,) = [each["value"] for each in code["env"] if each["name"] == "DAGSTER_CURRENT_IMAGE"]
    return code["image"], said


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_runs_have_the_image_of_the_code_location(overlay: str) -> None:
    code, said = run_image(manifests(overlay))
    assert code == said
    assert code.startswith(f"{OURS}platform:")


def copy_with(overlay: str, folder: Path, added: Manifest) -> Path:
    """A copy of an overlay as docs/kubernetes.md tells people to make one, with other fields."""
    source = K8S / "overlays" / overlay
    content = yaml.safe_load((source / "kustomization.yaml").read_text())
    for key in ("resources", "components", "transformers"):
        content[key] = [os.path.relpath(source / each, folder) if (source / each).is_dir() else each
                        for each in content.get(key, [])]
    for path in source.rglob("*"):
        if path.is_file():
            copied = folder / path.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_text(path.read_text())
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content | added))
    return folder


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_another_registry_reaches_every_image(overlay: str, tmp_path: Path) -> None:
    added: Manifest = {"images": [
        {"name": f"{OURS}{name}", "newName": f"registry.example/team/{name}", "newTag": "7"}
        for name in ("platform", "platform-cuda", "console", "service")]}
    found = list(yaml.safe_load_all(render(copy_with(overlay, tmp_path, added))))
    images = images_of(found)
    assert not [image for image in images if OURS in image]
    wanted = {f"registry.example/team/{name}:7" for name in ("platform", "console", "service")}
    wanted |= {"registry.example/team/platform-cuda:7"} if overlay == "gpu" else set()
    assert wanted <= images
    assert run_image(found) == ("registry.example/team/platform:7",) * 2
    if overlay == "gpu":
        (config,) = [each["data"] for each in found if each["kind"] == "ConfigMap"
                     and each["metadata"]["name"] == "platform"]
        assert config["MLOPS__COMPUTE__TRAINING_IMAGE"] == "registry.example/team/platform-cuda:7"


def test_version_of_the_training_is_that_of_the_code() -> None:
    found = manifests("gpu")
    (_, _, version) = run_image(found)[0].rpartition(":")
    assert f"{OURS}platform-cuda:{version}" in images_of(found)


def test_dagster_can_be_left_to_its_chart(tmp_path: Path) -> None:
    parts = [(kind, name) for name in ("code", "webserver", "view", "daemon")
             for kind in ("Deployment", "Service") if (kind, name) != ("Service", "daemon")]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({
        "resources": [os.path.relpath(K8S / "base", tmp_path)],
        "patches": [{"patch": yaml.safe_dump({
            "$patch": "delete", "apiVersion": "apps/v1" if kind == "Deployment" else "v1",
            "kind": kind, "metadata": {"name": f"dagster-{name}"}})} for kind, name in parts]}))
    found = list(yaml.safe_load_all(render(tmp_path)))
    left = {each["metadata"]["name"] for each in found if each["kind"] in ("Deployment", "Service")}
    assert left == {"console", "mlflow", "operator", "service-champion", "service-challenger"}
