"""The paths of pages that the console passes on stand where they can not be imported, too."""

from __future__ import annotations

import re

import yaml

from mlops_assets.config import PROJECT_ROOT
from mlops_assets.contracts.pages import DAGSTER_PAGES, MLFLOW_PAGES


def test_links_to_them_leave_the_consoles_own_pages() -> None:
    text = (PROJECT_ROOT / "ui" / "web" / "src" / "ui" / "A.tsx").read_text()
    found = re.search(r"others = \[(.*)\]", text)
    assert found
    assert {DAGSTER_PAGES, MLFLOW_PAGES} <= set(re.findall(r'"([^"]+)"', found.group(1)))


def test_dagsters_webserver_in_containers_is_below_its_path() -> None:
    compose = yaml.safe_load((PROJECT_ROOT / "deploy" / "compose.yaml").read_text())
    words = compose["services"]["dagster-view"]["command"]
    assert words[words.index("--path-prefix") + 1] == DAGSTER_PAGES
    manifest = PROJECT_ROOT / "deploy" / "k8s" / "base" / "dagster-view.yaml"
    deployment = next(yaml.safe_load_all(manifest.read_text()))
    words = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    assert words[words.index("--path-prefix") + 1] == DAGSTER_PAGES
