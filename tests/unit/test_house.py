"""Laws of the house that no linter knows."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tomllib

from mlops_assets.config import PROJECT_ROOT
from resources.steps import GROUPS

HEAVY = ("torch", "torchvision", "timm", "mlflow", "matplotlib", "scipy", "dvc", "bentoml")


def _python_files() -> list[int]:
    listed = subprocess.run(
        ["git", "-C", str(PROJECT_ROOT), "ls-files", "-co", "--exclude-standard", "*.py"],
        capture_output=True, text=True, check=True,
    ).stdout.split()
    files = [PROJECT_ROOT / name for name in listed]
    return [len(path.read_text().splitlines()) for path in files if path.exists()]


def test_files_stay_small() -> None:
    lines = _python_files()
    assert max(lines) <= 400
    assert statistics.median(lines) <= 150


def test_code_location_imports_nothing_heavy() -> None:
    code = (
        "import sys; import mlops_assets.definitions; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_import_laws_name_every_plain_module() -> None:
    config = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    law = config["tool"]["importlinter"]["contracts"][0]
    plain = {
        f"mlops_assets.{group}.{path.stem}"
        for group in GROUPS for path in (PROJECT_ROOT / "mlops_assets" / group).glob("*.py")
        if path.stem not in ("__init__", "assets", "checks")
    } | {
        f"mlops_assets.{group}.{path.parent.name}"
        for group in GROUPS
        for path in (PROJECT_ROOT / "mlops_assets" / group).glob("*/__init__.py")
    }
    assert set(law["source_modules"]) == plain


def test_fixed_names_exist() -> None:
    for name in ("mlops_assets", "resources", "sensors", "bentos", "deploy", "ui", "tests",
                 "workspace.yaml", "pyproject.toml"):
        assert (PROJECT_ROOT / name).exists(), name
