"""Prometheus metrics of the service. Every label has few values, whatever a client sends.

BentoML's own request metrics are switched off: they take the raw path as a label, so that
every prediction id and every random 404 would grow them for ever.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Summary,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from bentos.computed import Computed
    from bentos.slots import SlotTable

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

_shown: Final[set[tuple[str, str, str, str]]] = set()

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
    "mlops_predictions", "Journaled predictions, by slot, model version and answered class",
    ["slot", "version", "label"],
)
CONFIDENCE: Final = Histogram(
    "mlops_prediction_confidence", "Confidence of answers, 0 to 1", ["slot", "version"],
    buckets=_SHARES,
)
NOVEL: Final = Counter(
    "mlops_novel_images", "Images unlike the reference, by slot and model version",
    ["slot", "version"],
)
# Sums and counts, as means are what drift moves: of each image's pixels, 0 to 255.
BRIGHTNESS: Final = Summary(
    "mlops_image_brightness", "Mean of an image's pixels, 0 to 255", ["slot", "version"])
CONTRAST: Final = Summary(
    "mlops_image_contrast", "Standard deviation of an image's pixels", ["slot", "version"])
FEEDBACK: Final = Counter("mlops_feedback", "Journaled labels, by agreement", ["agrees"])
BATCH_IMAGES: Final = Histogram(
    "mlops_batch_images", "Images in one batch", ["version"], buckets=_SIZES
)
BATCH_SECONDS: Final = Histogram(
    "mlops_batch_seconds", "Seconds to decode, compute and journal one batch", ["version"],
    buckets=_SECONDS,
)
WAITING: Final = Gauge(
    "mlops_waiting_images", "Images that wait for a batch", ["version"],
    multiprocess_mode="livesum",
)
SHED: Final = Counter("mlops_shed", "Requests refused because too many wait", ["slot"])
CACHE: Final = Counter("mlops_cache", "Looks into the answer cache", ["where", "outcome"])
JOURNAL_FAULTS: Final = Counter(
    "mlops_journal_faults", "Records that could not be written; each was answered with 503"
)
JOURNAL_SECONDS: Final = Histogram(
    "mlops_journal_seconds", "Seconds to hand one batch of records to the kernel",
    buckets=_SECONDS,
)
SHADOW_FAULTS: Final = Counter(
    "mlops_shadow_faults", "Requests that the shadow model did not answer, by reason", ["kind"]
)
SLOT_FAULTS: Final = Counter(
    "mlops_slot_faults", "Looks at the state of serving that could not take effect"
)
IMAGES_KEPT: Final = Counter("mlops_images_kept", "Images of requests that were kept")
IMAGES_LEFT_OUT: Final = Counter(
    "mlops_images_left_out", "Images that should have been kept: disk too slow or full"
)
REVISION: Final = Gauge(
    "mlops_rollout_revision", "Revision of the state of serving, by worker",
    multiprocess_mode="min",
)
MODEL: Final = Gauge(
    "mlops_model_info",
    "Share of the traffic of each loaded model",
    ["name", "version", "slot", "bento_tag"],
    multiprocess_mode="mostrecent",
)


@cache
def _confidence(slot: str, version: str) -> Histogram:
    return CONFIDENCE.labels(slot, version)


@cache
def _pixels(slot: str, version: str) -> tuple[Summary, Summary]:
    return BRIGHTNESS.labels(slot, version), CONTRAST.labels(slot, version)


@cache
def _answered(slot: str, version: str, label: str) -> Counter:
    return PREDICTIONS.labels(slot, version, label)


def count_prediction(slot: str, version: str, computed: Computed) -> None:
    """One journaled prediction."""
    _answered(slot, version, computed.label).inc()
    _confidence(slot, version).observe(computed.confidence)
    brightness, contrast = _pixels(slot, version)
    brightness.observe(computed.pixels.pixel_mean)
    contrast.observe(computed.pixels.pixel_std)
    if computed.novelty is not None and computed.novelty > 1.0:
        NOVEL.labels(slot, version).inc()


@cache
def _of_batch(version: str) -> tuple[Histogram, Histogram, Gauge]:
    return (BATCH_IMAGES.labels(version), BATCH_SECONDS.labels(version), WAITING.labels(version))


def count_batch(version: str, size: int, seconds: float, waiting: int) -> None:
    """One finished batch of a model version, and how many images wait now."""
    images, took, queue = _of_batch(version)
    images.observe(size)
    took.observe(seconds)
    queue.set(waiting)


def show_slots(table: SlotTable) -> None:
    """Which model has which slot; what had one before shows 0."""
    REVISION.set(table.revision)
    shown = {
        (model.card.name, model.card.version, slot, model.bento_tag): table.share(slot)
        for slot, model in table.models.items()
    }
    for labels in _shown - set(shown):
        MODEL.labels(*labels).set(0)
    for labels, share in shown.items():
        MODEL.labels(*labels).set(share)
    _shown.update(shown)


def exposition() -> bytes:
    """All metrics in Prometheus' text format, over every worker where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
