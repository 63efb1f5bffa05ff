"""Recording rules: what dashboards and alerts ask for, reckoned once.

Names are ``<what is left of the labels>:<metric>:<how>``. A time in a name is the one at
``Clock.scale`` 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploy.monitoring.clock import DAY, HOUR, MINUTE, Clock
from mlops_assets.config import Settings

PREDICT: Final = 'route="/v1/predict"'
# The buckets of `mlops_request_seconds`, which a test compares with those of the service.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW_WINDOWS: Final = {
    "5m": 5 * MINUTE, "30m": 30 * MINUTE, "1h": HOUR, "2h": 2 * HOUR, "6h": 6 * HOUR,
    "1d": DAY, "3d": 3 * DAY,
}
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded series."""

    name: str
    expr: str


def bucket_of(slow_ms: float) -> float:
    """The smallest bound of the latency histogram that is not below ``slow_ms``, in seconds."""
    return next((bound for bound in BUCKETS if bound * 1000 >= slow_ms), BUCKETS[-1])


def _share(part: str, whole: str) -> str:
    """``part`` of ``whole``, 0 where the part was never seen, absent where nothing was."""
    return f"(({part}) or 0 * ({whole})) / (({whole}) > 0)"


def _mean(metric: str, by: str, window: str) -> str:
    """Mean of what a histogram or summary observed in a window, absent where it saw nothing."""
    return (f"sum by ({by}) (rate({metric}_sum[{window}])) / "
            f"(sum by ({by}) (rate({metric}_count[{window}])) > 0)")


def _requests(clock: Clock) -> list[Recording]:
    short = clock.window(5 * MINUTE)
    total = f"sum by (route) (rate(mlops_requests_total[{short}]))"
    rules = [
        Recording("route:mlops_requests:rate5m", total),
        Recording("mlops:requests:rate5m", f"sum(rate(mlops_requests_total[{short}]))"),
    ]
    for digit in "45":
        kind = f'mlops_requests_total{{status=~"{digit}.."}}[{short}]'
        rules += [
            Recording(f"route:mlops_requests_{digit}xx:share5m",
                      _share(f"sum by (route) (rate({kind}))", total)),
            Recording(f"mlops:requests_{digit}xx:share5m",
                      _share(f"sum(rate({kind}))", f"sum(rate(mlops_requests_total[{short}]))")),
        ]
    rules += [
        Recording(f"route:mlops_request_seconds:{name}",
                  f"histogram_quantile({share}, sum by (route, le) "
                  f"(rate(mlops_request_seconds_bucket[{short}])))")
        for name, share in QUANTILES.items()
    ]
    return rules


def _promise(clock: Clock, bound: float) -> list[Recording]:
    """Shares of predictions that took longer than ``bound`` seconds, over many windows."""
    rules = []
    for name, seconds in SLOW_WINDOWS.items():
        window = clock.window(seconds)
        fast = f'sum(rate(mlops_request_seconds_bucket{{{PREDICT},le="{bound}"}}[{window}]))'
        whole = f"sum(rate(mlops_request_seconds_count{{{PREDICT}}}[{window}]))"
        rules.append(Recording(
            f"mlops:slow_predictions:share{name}", f"1 - ({fast}) / (({whole}) > 0)"))
    return rules


def _models(clock: Clock) -> list[Recording]:
    short, long = clock.window(5 * MINUTE), clock.window(HOUR)
    by_version = f"sum by (slot, version) (rate(mlops_predictions_total[{long}]))"
    by_label = f"sum by (slot, version, label) (rate(mlops_predictions_total[{long}]))"
    confidence = "mlops_prediction_confidence"
    return [
        Recording("slot_version:mlops_predictions:rate5m",
                  f"sum by (slot, version) (rate(mlops_predictions_total[{short}]))"),
        Recording("slot_version_label:mlops_predictions:share1h",
                  f"{by_label} / on (slot, version) group_left () ({by_version} > 0)"),
        Recording("slot_version:mlops_prediction_confidence:mean1h",
                  _mean(confidence, "slot, version", long)),
        Recording("slot_version:mlops_prediction_confidence:p10",
                  f"histogram_quantile(0.1, sum by (slot, version, le) "
                  f"(rate({confidence}_bucket[{long}])))"),
        *(Recording(f"slot_version:mlops_image_{what}:mean1h",
                    _mean(f"mlops_image_{what}", "slot, version", long))
          for what in ("brightness", "contrast")),
        Recording("slot_version:mlops_novel_images:share1h",
                  _share(f"sum by (slot, version) (rate(mlops_novel_images_total[{long}]))",
                         by_version)),
        Recording("mlops:feedback_agrees:share1h",
                  _share(f'sum(rate(mlops_feedback_total{{agrees="yes"}}[{long}]))',
                         f"sum(rate(mlops_feedback_total[{long}]))")),
    ]


def _quality() -> list[Recording]:
    return [
        Recording("mlops:drift_evidence:present", "max(mlops_drift_evidence)"),
        Recording("mlops:label_accuracy:present", "max(mlops_label_accuracy)"),
        Recording("mlops:drift_evidence:share_of_alarm", "mlops_drift_evidence / "
                  "mlops_drift_alarm_at"),
        Recording("mlops:label_accuracy:drop", "mlops_held_out_accuracy - mlops_label_accuracy"),
        Recording("mlops:label_accuracy:certain_drop",
                  "mlops_held_out_accuracy - mlops_label_accuracy_upper"),
        Recording("mlops:estimated_accuracy:drop",
                  "mlops_held_out_accuracy - mlops_estimated_accuracy"),
    ]


def _machinery(clock: Clock) -> list[Recording]:
    short = clock.window(5 * MINUTE)
    compacted = 'max(mlops_asset_materialized_seconds{asset="prediction_log"})'
    looks = f"sum by (where) (rate(mlops_cache_total[{short}]))"
    tracked = f"sum(rate(mlops_mlflow_requests_total[{short}]))"
    return [
        Recording("where:mlops_cache_hits:share5m", _share(
            f'sum by (where) (rate(mlops_cache_total{{outcome="hit"}}[{short}]))', looks)),
        Recording("mlops:journal_lag:seconds",
                  # Nothing lags where nothing was answered since.
                  f"(time() - {compacted}) * (max(mlops_journal_newest_seconds) > bool "
                  f"{compacted})"),
        Recording("mlops:journal_seconds:p99",
                  "histogram_quantile(0.99, sum by (le) "
                  f"(rate(mlops_journal_seconds_bucket[{short}])))"),
        Recording("version:mlops_batch_images:mean5m",
                  _mean("mlops_batch_images", "version", short)),
        Recording("mlops:mlflow_requests:rate5m", tracked),
        Recording("mlops:mlflow_requests_5xx:share5m", _share(
            f'sum(rate(mlops_mlflow_requests_total{{status=~"5.."}}[{short}]))', tracked)),
        Recording("mlops:mlflow_request_seconds:p95",
                  "histogram_quantile(0.95, sum by (le) "
                  f"(rate(mlops_mlflow_request_seconds_bucket[{short}])))"),
        Recording("mlops:shed:rate5m", f"sum(rate(mlops_shed_total[{short}]))"),
        Recording("path:mlops_disk_free:share", "mlops_disk_free_bytes / mlops_disk_size_bytes"),
        Recording("gpu:mlops_gpu_utilization:mean5m",
                  f"avg by (gpu) (avg_over_time(mlops_gpu_utilization_ratio[{short}]))"),
        Recording("step:mlops_rollout_step:present", "max by (step) (mlops_rollout_step)"),
        # Only where a node_exporter is scraped.
        Recording("mlops:node_cpu_busy:share5m", "1 - avg(rate("
                  f'node_cpu_seconds_total{{mode="idle"}}[{short}]))'),
        Recording("device:node_network_receive_bytes:rate5m",
                  f"sum by (device) (rate(node_network_receive_bytes_total[{short}]))"),
        Recording("device:node_network_transmit_bytes:rate5m",
                  f"sum by (device) (rate(node_network_transmit_bytes_total[{short}]))"),
    ]


def make_recordings(settings: Settings, clock: Clock) -> dict[str, list[Recording]]:
    """Group name to its rules, in the order of their evaluation."""
    return {
        "requests": _requests(clock),
        "promise": _promise(clock, bucket_of(settings.rollout.slow_ms)),
        "models": _models(clock),
        "quality": _quality(),
        "machinery": _machinery(clock),
    }
