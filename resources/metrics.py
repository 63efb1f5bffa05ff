"""Metrics of the graph, as files in Prometheus' text format.

A sensor lives in no process that could be scraped, so the gauges lie in ``PLATFORM_HOME/metrics``,
where node-exporter's textfile collector, or any HTTP server, hands them on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

FOLDER: Final = "metrics"
FRESHNESS_FILE: Final = "freshness.prom"
STATES: Final = ("pass", "warn", "fail", "unknown", "not_applicable")


def publish_freshness(home: Path, states: Mapping[str, str]) -> None:
    """Write ``mlops_asset_freshness{asset,state}`` (1 for the state it is in, else 0).

    ``mlops_freshness_checked_timestamp_seconds`` tells when, so that a dead daemon shows.

    Raises:
        OSError: the folder can not be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

    registry = CollectorRegistry()
    gauge = Gauge("mlops_asset_freshness", "The state that an asset's freshness policy is in",
                  ["asset", "state"], registry=registry)
    for asset, found in states.items():
        for state in STATES:
            gauge.labels(asset, state).set(float(state == found))
    Gauge("mlops_freshness_checked_timestamp_seconds", "When freshness was last looked at",
          registry=registry).set_to_current_time()
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(folder / FRESHNESS_FILE), registry)
