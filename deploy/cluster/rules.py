"""The alert and recording rules, as the Prometheus operator reads them."""

from __future__ import annotations

import yaml

from deploy.cluster.instance import dump
from deploy.monitoring.clock import Clock
from deploy.monitoring.render import render_alerts, render_recordings
from mlops_assets.config import Settings


def render_rules(settings: Settings) -> str:
    """``PrometheusRule`` with every rule of the one-machine platform."""
    clock = Clock(
        scale=settings.platform.alarm_scale, scrape_seconds=settings.platform.scrape_seconds)
    groups = [
        group for text in (render_recordings(settings, clock), render_alerts(settings, clock))
        for group in yaml.safe_load(text)["groups"]
    ]
    return dump({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": {"name": "mlops-assets"}, "spec": {"groups": groups},
    })
