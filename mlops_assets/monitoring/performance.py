"""Build of ``performance_report``: accuracy in production on labels that came late."""

from __future__ import annotations

import polars as pl

from mlops_assets.monitoring.log_rows import list_hours, read_labels, read_verdicts
from mlops_assets.pictures import bars
from mlops_assets.provenance.hashing import canonical_json
from resources.steps import Workspace

REPORT_FILE = "report.json"
CONFIDENCE = 0.95


def build_performance_report(work: Workspace) -> None:
    """Accuracy on late labels by model version and class, with Clopper-Pearson intervals."""
    predictions = read_verdicts(list_hours(work))
    joined = predictions.join(read_labels(work), on="prediction_id", how="inner").with_columns(
        right=pl.col("label") == pl.col("truth"))
    out, summary = work.out("performance_report"), work.summary("performance_report")
    by_model = [_interval(f"model {key[0][:16]}", part) for key, part in
                sorted(joined.group_by("model_version"))]
    by_class = [_interval(f"class {key[0]}", part) for key, part in
                sorted(joined.group_by("truth"))]
    (out / REPORT_FILE).write_bytes(canonical_json({"models": by_model, "classes": by_class}))
    summary.values |= {"rows": joined.height, "predictions": predictions.height}
    summary.tables["accuracy_by_slice"] = [*by_model, *by_class]
    if joined.height:
        summary.values["accuracy"] = float(joined["right"].mean())  # type: ignore[arg-type]
        names = [str(row["slice"]).removeprefix("class ") for row in by_class]
        summary.add_picture("accuracy_by_class", bars(
            "Accuracy on late labels", names,
            {"accuracy": [float(row["accuracy"]) for row in by_class]}))


def _interval(name: str, part: pl.DataFrame) -> dict[str, str | int | float]:
    from scipy.stats import binomtest

    right, rows = int(part["right"].sum()), part.height
    interval = binomtest(right, rows).proportion_ci(CONFIDENCE)
    return {"slice": name, "rows": rows, "accuracy": right / rows,
            "lower": float(interval.low), "upper": float(interval.high)}
