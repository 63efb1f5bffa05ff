"""What the console measures, and which metrics an expression asks for."""

from __future__ import annotations

import re

CONSOLE_METRICS = (
    "mlops_dagster_runs", "mlops_dagster_last_run_failed", "mlops_dagster_queued_runs",
    "mlops_dagster_sensor_running", "mlops_dagster_sensor_last_tick_seconds",
    "mlops_dagster_sensor_interval_seconds", "mlops_dagster_sensor_last_tick_failed",
    "mlops_asset_fresh", "mlops_asset_materialized_seconds", "mlops_asset_check_passed",
    "mlops_drift_evidence", "mlops_drift_alarm_at", "mlops_drift_verdict",
    "mlops_label_accuracy", "mlops_label_accuracy_lower", "mlops_label_accuracy_upper",
    "mlops_estimated_accuracy", "mlops_held_out_accuracy", "mlops_rollout_step",
    "mlops_rollout_revision_wanted", "mlops_source_up",
    "mlops_journal_newest_seconds", "mlops_disk_free_bytes",
    "mlops_disk_size_bytes", "mlops_gpu_count", "mlops_gpu_count_max",
    "mlops_gpu_utilization_ratio", "mlops_gpu_memory_used_bytes",
)
_STRING = re.compile(r'"[^"]*"')
_ASIDE = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)"
                    r"\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w.:])[A-Za-z_:][\w:]*(?!\s*\()\b(?!\s*\()")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


def names_in(expr: str) -> set[str]:
    """The metrics of an expression: no functions, labels or operators."""
    bare = _ASIDE.sub(" ", _STRING.sub("", expr))
    return {name for name in _NAME.findall(bare) if name.lower() not in _WORDS}
