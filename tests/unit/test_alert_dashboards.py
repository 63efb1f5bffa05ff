"""Grafana's dashboards, as they are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deploy.monitoring.dashboards import COLUMNS, DASHBOARDS, expressions, render_dashboard


def test_command_writes_one_file_a_dashboard(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.monitoring.dashboards", "--out", str(tmp_path / "new")],
        capture_output=True, text=True, check=True,
    )
    paths = [Path(line) for line in done.stdout.splitlines()]
    assert [path.stem for path in paths] == [
        "mlops-service", "mlops-model", "mlops-loop", "mlops-machine"
    ]
    for path, dashboard in zip(paths, DASHBOARDS, strict=True):
        assert json.loads(path.read_text()) == render_dashboard(dashboard)


def test_panels_do_not_overlap() -> None:
    for dashboard in DASHBOARDS:
        cells = set()
        for panel in render_dashboard(dashboard)["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= COLUMNS
            covered = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                       for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & covered, panel["title"]
            cells |= covered


def test_every_query_names_its_source_and_has_a_letter() -> None:
    asked = [target for dashboard in DASHBOARDS
             for panel in render_dashboard(dashboard)["panels"] for target in panel["targets"]]
    assert [target["expr"] for target in asked] == list(expressions())
    assert all(target["datasource"]["uid"] == "${datasource}" for target in asked)
    assert all(len(target["refId"]) == 1 for target in asked)
