"""The asset graph as a snapshot: a change of it shows in a review.

``python -m tests.unit.test_asset_graph`` writes the snapshot anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def describe_graph() -> dict[str, Any]:
    """Keys, groups, partitions, dependencies, checks, kinds, owners and automation."""
    from mlops_assets.definitions import defs

    graph = defs.resolve_asset_graph()
    described: dict[str, Any] = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        condition = node.automation_condition
        partitions = node.partitions_def
        described[key.to_user_string()] = {
            "group": node.group_name,
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": None if partitions is None else type(partitions).__name__,
            "kinds": sorted(node.kinds),
            "owners": sorted(node.owners),
            "described": bool(node.description and len(node.description) > 40),
            "automation": None if condition is None else condition.get_label(),
            "checks": sorted(
                f"{check.name}{' (blocking)' if graph.get_check_spec(check).blocking else ''}"
                for check in node.check_keys
            ),
        }
    jobs = sorted(job.name for job in defs.jobs or [])
    sensors = sorted(sensor.name for sensor in defs.sensors or [])
    return {"assets": described, "jobs": jobs, "sensors": sensors}


def test_asset_graph_is_as_reviewed() -> None:
    assert describe_graph() == json.loads(SNAPSHOT.read_text())


def test_every_asset_is_described_owned_and_has_kinds() -> None:
    for name, asset in describe_graph()["assets"].items():
        assert asset["described"], name
        assert asset["owners"], name
        assert asset["kinds"], name


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(describe_graph(), indent=1, sort_keys=True) + "\n")
