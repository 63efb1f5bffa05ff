"""Whether what production sends and answers is whole and usual: counts over a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mlops_assets.contracts.image_statistics import NAMES

UNSURE = 0.6
FLAT_STD = 1.0


def describe_quality(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows ``{"what", "value"}`` of a window of ``prediction_log``; shares are 0 to 1."""
    if not frame.height:
        return []
    numbers = frame.select("confidence", *NAMES).to_numpy()
    novel = frame["novelty"].drop_nulls()
    found: dict[str, Any] = {
        "predictions": frame.height,
        "from (UTC)": frame["at"].dt.strftime("%Y-%m-%d %H:%M:%S").min(),
        "to (UTC)": frame["at"].dt.strftime("%Y-%m-%d %H:%M:%S").max(),
        "values that are not finite": int((~np.isfinite(numbers)).sum()),
        "share of images seen before in it": 1 - frame["image_sha256"].n_unique() / frame.height,
        "share answered from the cache": _share(frame["cached"]),
        "share of images of one colour": _share(frame["pixel_std"] < FLAT_STD),
        f"share with a confidence below {UNSURE}": _share(frame["confidence"] < UNSURE),
        "share unlike the reference": _share(novel > 1.0) if len(novel) else 0.0,
        "share of images kept": _share(frame["image_kept"]),
        "median latency, ms": _quantile(frame["latency_ms"], 0.5),
        "99 % latency, ms": _quantile(frame["latency_ms"], 0.99),
    }
    return [{"what": name, "value": value if isinstance(value, str) else f"{value:.5g}"}
            for name, value in found.items()]


def _share(flags: pl.Series) -> float:
    return float(flags.fill_null(value=False).sum() / max(1, len(flags)))


def _quantile(values: pl.Series, at: float) -> float:
    return float(values.quantile(at) or 0.0)
