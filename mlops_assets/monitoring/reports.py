"""Build of ``drift_report`` and ``performance_report``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.contracts.model_card import REFERENCE_FILE, ModelCard, read_card
from mlops_assets.contracts.summary import Summary
from mlops_assets.monitoring.drift import DriftReport, View, compare
from mlops_assets.monitoring.logs import (
    LABEL_SCHEMA,
    LABELS_FILE,
    PREDICTION_SCHEMA,
    PREDICTIONS_FILE,
)
from mlops_assets.monitoring.sequential import fits, judge
from mlops_assets.monitoring.trigger.views import Rows
from mlops_assets.pictures import SERIES, bars, new_figure, to_png
from mlops_assets.provenance.hashing import canonical_json
from resources.steps import Workspace

REPORT_FILE = "report.json"
COMPONENTS = 8
PLOTTED = ("confidence", "pixel_mean", "pixel_std", "embedding_1")
CONFIDENCE = 0.95


def build_drift_report(settings: DriftSettings, work: Workspace) -> None:
    """Compare the latest predictions of the exported model with its reference."""
    model = work.read("exported_model")
    card = read_card(model)
    frames = _frames(work, "prediction_log", PREDICTIONS_FILE, PREDICTION_SCHEMA)
    frame = frames.filter(model_version=card.version).sort("prediction_id")
    with np.load(model / REFERENCE_FILE) as stored:
        arrays = {name: stored[name] for name in stored.files}
    reference = _reference(arrays)
    window = _window(frame.tail(settings.max_window), arrays, card)
    if fits(arrays, settings):
        report = judge(arrays, _production(frame, arrays, card), list(card.classes), settings)
    else:
        report = compare(reference, window, settings)
    body = {"model_version": card.version, **asdict(report)}
    (work.out("drift_report") / REPORT_FILE).write_bytes(canonical_json(body))
    summary = work.summary("drift_report")
    summary.values |= {"verdict": report.verdict, "reason": report.reason,
                       "window_rows": report.window_rows, "model_version": card.version,
                       "reference_rows": report.reference_rows}
    if report.evidence is not None:
        summary.values |= {"evidence": report.evidence, "windows": len(report.history)}
    summary.tables["signals"] = [asdict(signal) for signal in report.signals]
    summary.check("no_drift", passed=report.verdict in ("stable", "too-few"), blocking=False,
                  description=f"{report.verdict}: {report.reason}")
    if report.signals:
        _draw(summary, report, reference, window, card)


def _frames(work: Workspace, asset: str, file: str, schema: pa.Schema) -> pl.DataFrame:
    """Rows of all hours; none before the first prediction."""
    empty = pl.DataFrame(pl.from_arrow(schema.empty_table()))
    hours = (pl.read_parquet(folder / file) for folder in work.read_every(asset).values())
    return pl.concat([empty, *hours])


def _signals(
    confidence: NDArray[Any], mean: NDArray[Any], std: NDArray[Any], projected: NDArray[Any]
) -> dict[str, NDArray[np.float32]]:
    signals = {"confidence": confidence, "pixel_mean": mean, "pixel_std": std}
    count = min(COMPONENTS, projected.shape[1])
    signals |= {f"embedding_{index + 1}": projected[:, index] for index in range(count)}
    return {name: np.asarray(values, np.float32) for name, values in signals.items()}


def _reference(arrays: dict[str, NDArray[Any]]) -> View:
    return View(
        signals=_signals(arrays["confidence"], arrays["pixel_mean"], arrays["pixel_std"],
                         arrays["projected"]),
        classes=arrays["predicted"].astype(np.int64),
    )


def _production(frame: pl.DataFrame, arrays: dict[str, NDArray[Any]], card: ModelCard) -> Rows:
    vectors = _vectors(frame, card)
    places = {name: index for index, name in enumerate(card.classes)}
    return Rows(
        predicted=frame["label"].replace_strict(places, return_dtype=pl.Int64).to_numpy(),
        confidence=frame["confidence"].to_numpy(), norm=np.linalg.norm(vectors, axis=1),
        projected=(vectors - arrays["center"]) @ arrays["components"].T, probabilities=None,
        pixels={name: frame[name].to_numpy() for name in ("pixel_mean", "pixel_std")},
    )


def _vectors(frame: pl.DataFrame, card: ModelCard) -> NDArray[np.float32]:
    flat = frame["embedding"].explode(empty_as_null=False).to_numpy()
    return flat.astype(np.float32, copy=False).reshape(-1, card.embedding_size)


def _window(frame: pl.DataFrame, arrays: dict[str, NDArray[Any]], card: ModelCard) -> View:
    projected = (_vectors(frame, card) - arrays["center"]) @ arrays["components"].T
    counts = dict(frame.group_by("label").len().iter_rows())
    return View(
        signals=_signals(frame["confidence"].to_numpy(), frame["pixel_mean"].to_numpy(),
                         frame["pixel_std"].to_numpy(), projected),
        classes=np.array([counts.get(name, 0) for name in card.classes], np.int64),
    )


def _draw(
    summary: Summary, report: DriftReport, reference: View, window: View, card: ModelCard
) -> None:
    figure, axes = new_figure(10.0, 2.6, columns=len(PLOTTED))
    for axis, name in zip(axes, PLOTTED, strict=True):
        both = np.concatenate([reference.signals[name], window.signals[name]])
        low, high = np.quantile(both, [0.001, 0.999])
        edges = np.linspace(float(low), float(high), 31)
        axis.hist(reference.signals[name], edges, density=True, color=SERIES[0], alpha=0.5,
                  label="reference")
        axis.hist(window.signals[name], edges, density=True, histtype="step", color=SERIES[1],
                  linewidth=1.4, label="window")
        axis.set_title(name.replace("_", " "), fontsize=9, loc="left")
        axis.set_yticks([])
    axes[0].legend(fontsize=7, frameon=False)
    summary.add_picture("signals_plot", to_png(figure))
    shares = {
        "reference": (reference.classes / reference.rows).tolist(),
        "window": (window.classes / window.rows).tolist(),
    }
    summary.add_picture("classes_plot", bars(
        f"Predicted classes ({report.verdict})", card.classes, shares, ylabel="share"))


def build_performance_report(work: Workspace) -> None:
    """Accuracy on late labels by model version and class, with Clopper-Pearson intervals."""
    predictions = _frames(work, "prediction_log", PREDICTIONS_FILE, PREDICTION_SCHEMA)
    labels = _frames(work, "feedback_labels", LABELS_FILE, LABEL_SCHEMA).select(
        "prediction_id", truth="label")
    joined = predictions.join(labels, on="prediction_id", how="inner").with_columns(
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

