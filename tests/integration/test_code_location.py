"""Every way to load the code location finds the same graph."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.config import PROJECT_ROOT

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent


def run(*command: str) -> str:
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=PROJECT_ROOT, capture_output=True, text=True,
        check=False, timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_workspace_file_loads() -> None:
    run("dagster", "definitions", "validate", "-w", "workspace.yaml")


def test_pyproject_loads_and_lists_every_asset() -> None:
    listed = run("dg", "list", "defs", "--json")
    for name in ("raw_images", "dataset", "trained_model", "model_bento", "drift_report"):
        assert f'"{name}"' in listed, name


def test_dg_passes_other_commands_on() -> None:
    assert "Usage: dg" in run("dg", "--help")
