"""``python -m deploy.cluster.render``: the generated files of deploy/k8s/base, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from deploy.cluster.instance import render_instance, render_workspace
from deploy.cluster.rules import render_rules
from mlops_assets.config import PROJECT_ROOT, load_settings

BASE: Final = PROJECT_ROOT / "deploy" / "k8s" / "base"
NOTE: Final = "# Written by `python -m deploy.cluster.render`.\n"
PROFILE: Final = "production"


def render_files() -> dict[Path, str]:
    """Path to content."""
    return {
        BASE / "dagster.yaml": NOTE + render_instance(),
        BASE / "workspace.yaml": NOTE + render_workspace(),
        BASE / "rules.yaml": NOTE + render_rules(load_settings(PROFILE)),
    }


def main() -> None:
    """Write every file."""
    for path, text in render_files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
