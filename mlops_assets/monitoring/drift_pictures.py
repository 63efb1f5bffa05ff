"""Pictures of a drift report."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mlops_assets.contracts.summary import Summary
from mlops_assets.monitoring.drift import DriftReport
from mlops_assets.monitoring.trigger.views import Rows
from mlops_assets.pictures import MUTED, SERIES, bars, new_figure, to_png

PIXELS: Final = ("pixel_mean", "roughness")
SHOWN: Final = 300.0


def draw(
    summary: Summary, found: DriftReport, known: Rows, rows: Rows,
    classes: list[dict[str, Any]], alarm_at: float,
) -> None:
    """Evidence over time, distributions of reference and window, and shares of the classes."""
    if found.history:
        summary.add_picture("history_plot", _history(found, alarm_at))
    summary.add_picture("signals_plot", _signals(known, rows))
    summary.add_picture("classes_plot", bars(
        f"Predicted classes ({found.verdict})", [str(row["class"]) for row in classes],
        {"reference": [row["reference"] for row in classes],
         "production": [row["production"] for row in classes]}, ylabel="share"))


def _history(found: DriftReport, alarm_at: float) -> bytes:
    figure, axis = new_figure(8.0, 2.6)
    logs = np.clip(np.array(found.history), -SHOWN, SHOWN) / np.log(10)
    axis.plot(np.arange(1, 1 + len(logs)), logs, color=SERIES[0], linewidth=1.6,
              marker="o" if len(logs) < 40 else None, markersize=3)
    axis.axhline(np.log10(alarm_at), color=SERIES[3], linewidth=1, linestyle="--")
    axis.annotate("alarm", (1, np.log10(alarm_at)), xytext=(0, 3),
                  textcoords="offset points", fontsize=8, color=SERIES[3])
    axis.axhline(0, color=MUTED, linewidth=0.8)
    axis.set_title("Evidence against \"nothing has drifted\"", fontsize=10, loc="left")
    axis.set_xlabel("window", fontsize=8)
    axis.set_ylabel("log10 of the e-value", fontsize=8)
    return to_png(figure)


def _signals(known: Rows, rows: Rows) -> bytes:
    shown = {"confidence": (known.confidence, rows.confidence)}
    shown |= {name.replace("_", " "): (known.pixels[name], rows.pixels[name])
              for name in PIXELS if name in known.pixels}
    if len(known.norm):
        shown["embedding norm"] = (known.norm, rows.norm)
    figure, axes = new_figure(10.0, 2.6, columns=len(shown))
    for axis, (name, (before, now)) in zip(np.atleast_1d(axes), shown.items(), strict=True):
        low, high = np.quantile(np.concatenate([before, now]), [0.001, 0.999])
        edges = np.linspace(float(low), float(high) + 1e-6, 31)
        axis.hist(before, edges, density=True, color=SERIES[0], alpha=0.5, label="reference")
        axis.hist(now, edges, density=True, histtype="step", color=SERIES[1], linewidth=1.4,
                  label="production")
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_yticks([])
    np.atleast_1d(axes)[0].legend(fontsize=7, frameon=False, loc="upper right")
    return to_png(figure)
