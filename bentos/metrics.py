"""Prometheus metrics of the service. Every label has few values, whatever a client sends.

BentoML's own request metrics are switched off: they take the raw path as a label, so that
every prediction id and every random 404 would grow them for ever.
"""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

REQUESTS: Final = Counter(
    "mlops_requests", "Answered requests, by route template and status", ["route", "status"]
)
REQUEST_SECONDS: Final = Histogram(
    "mlops_request_seconds",
    "Seconds from the head of a request to its answer",
    ["route"],
    buckets=_SECONDS,
)
PREDICTIONS: Final = Counter(
    "mlops_predictions", "Journaled predictions, by slot and answered class", ["slot", "label"]
)
CONFIDENCE: Final = Histogram(
    "mlops_prediction_confidence", "Confidence of answers, 0 to 1", ["slot"], buckets=_SHARES
)
FEEDBACK: Final = Counter("mlops_feedback", "Journaled labels, by agreement", ["agrees"])
BATCH_IMAGES: Final = Histogram("mlops_batch_images", "Images in one batch", buckets=_SIZES)
BATCH_SECONDS: Final = Histogram(
    "mlops_batch_seconds", "Seconds to decode, compute and journal one batch", buckets=_SECONDS
)
WAITING: Final = Gauge(
    "mlops_waiting_images", "Images that wait for a batch", multiprocess_mode="mostrecent"
)
JOURNAL_FAULTS: Final = Counter(
    "mlops_journal_faults", "Records that could not be written; each was answered with 503"
)
MODEL: Final = Gauge(
    "mlops_model_info",
    "1 for each loaded model",
    ["name", "version", "slot", "bento_tag"],
    multiprocess_mode="max",
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format, over every worker where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
