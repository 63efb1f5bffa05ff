"""Drift reports: the level of one look, and that shifts are seen and named."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mlops_assets.config import DriftSettings
from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.monitoring.drift import View, compare, holm
from mlops_assets.monitoring.log_rows import Hour
from mlops_assets.monitoring.reference import Reference, held_out_rows
from mlops_assets.monitoring.watch import fits, judge
from tests.model_dir import write_model_dir

SETTINGS = DriftSettings(alpha=0.05, watch_alpha=0.1)
WIDTH = 4
CLASSES = 3


def _view(rng: np.random.Generator, rows: int, shift: float = 0.0) -> View:
    signals: dict[str, NDArray[np.float32]] = {
        f"signal_{index}": (rng.normal(size=rows) + shift * (index == 0)).astype(np.float32)
        for index in range(6)
    }
    classes = rng.multinomial(rows, [0.1] * 10).astype(np.int64)
    return View(signals, classes)


def test_false_alarms_on_one_look_stay_within_alpha() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(
        compare(_view(rng, 2000), _view(rng, 300), SETTINGS).verdict == "drifted"
        for _ in range(300)
    )
    assert alarms <= 0.05 * 300 + 3 * np.sqrt(0.05 * 0.95 * 300)


def test_shift_is_found_and_named() -> None:
    rng = np.random.default_rng(1)
    report = compare(_view(rng, 2000), _view(rng, 300, shift=0.5), SETTINGS)
    assert report.verdict == "drifted"
    assert report.signals[0].name == "signal_0"


def test_few_predictions_give_no_verdict() -> None:
    rng = np.random.default_rng(2)
    assert compare(_view(rng, 500), _view(rng, 20), SETTINGS).verdict == "too-few"


def test_holm_by_hand() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03]))
    assert adjusted.tolist() == [0.03, 0.06, 0.06]


def _frame(rng: np.random.Generator, rows: int, shift: float = 0.0) -> pl.DataFrame:
    """Rows of a prediction log whose images are brighter by ``shift``."""
    shares = rng.dirichlet(np.ones(CLASSES), rows)
    names = np.array(["a", "b", "c"])[shares.argmax(axis=1)]
    return pl.DataFrame({
        "label": names, "confidence": shares.max(axis=1).astype(np.float32),
        "probabilities": shares.astype(np.float32).tolist(),
        "embedding": rng.normal(size=(rows, WIDTH)).astype(np.float32).tolist(),
        **{name: rng.normal(100 + shift * (name == "pixel_mean"), 10, rows).astype(np.float32)
           for name in NAMES},
    })


def _reference(rng: np.random.Generator, rows: int) -> Reference:
    with tempfile.TemporaryDirectory() as folder:
        card = write_model_dir(Path(folder, "model")).model_copy(
            update={"classes": ["a", "b", "c"], "embedding_size": WIDTH})
    center, components = np.zeros(WIDTH, np.float32), np.eye(WIDTH, dtype=np.float32)
    bare: dict[str, NDArray[Any]] = {
        "center": center, "components": components, "probabilities": np.zeros((0, CLASSES)),
        **{name: np.zeros(0, np.float32) for name in NAMES}}
    empty = Reference(card, bare, held_out_rows({"confidence": np.zeros(0)}), accepted=False)
    found = empty.rows_of(_frame(rng, rows))
    arrays = {**bare, "labels": found.predicted, "confidence": found.confidence,
              "norm": found.norm, "projected": found.projected,
              "probabilities": found.probabilities, **found.pixels}
    return Reference(card, arrays, held_out_rows(arrays), accepted=False)  # type: ignore[arg-type]


def _hours(count: int) -> list[Hour]:
    return [Hour(f"2026-01-01-{each:02d}:00", f"v{each}", Path()) for each in range(count)]


def test_trigger_finds_a_shift_among_all_predictions_and_names_it() -> None:
    rng = np.random.default_rng(3)
    reference = _reference(rng, 1000)
    assert fits(reference, SETTINGS)
    clean, shifted = _frame(rng, 2000), _frame(rng, 600, shift=10)
    report = judge(reference, _hours(1), lambda _: [clean], SETTINGS)
    assert report.verdict == "stable"
    assert report.evidence is not None
    assert len(report.history) == 10
    report = judge(reference, _hours(1), lambda _: [clean, shifted], SETTINGS)
    assert report.verdict == "drifted"
    assert report.alarm_window in (11, 12, 13)
    assert "differs in pixel mean: location" in report.reason
    assert report.signals[0].p_value < 1e-6
    assert (report.signals[0].direction, report.signals[0].since) in {(1, 10), (1, 11)}


def test_going_on_from_a_kept_state_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    reference = _reference(rng, 1000)
    frames = [_frame(rng, 330, shift=6.0 * (hour == 3)) for hour in range(4)]
    read: list[str] = []

    def rows(hour: Hour) -> list[pl.DataFrame]:
        read.append(hour.key)
        return [frames[int(hour.key[11:13])]]

    whole = judge(reference, _hours(4), rows, SETTINGS)
    judge(reference, _hours(3), rows, SETTINGS, tmp_path)
    read.clear()
    resumed = judge(reference, _hours(4), rows, SETTINGS, tmp_path)
    assert read == ["2026-01-01-02:00", "2026-01-01-03:00"]
    assert resumed == whole
    changed = [*_hours(2)[:1], Hour("2026-01-01-01:00", "another", Path()), *_hours(4)[2:]]
    read.clear()
    judge(reference, changed, rows, SETTINGS, tmp_path)
    assert read[0] == "2026-01-01-01:00"


def test_trigger_waits_for_a_first_window() -> None:
    rng = np.random.default_rng(4)
    report = judge(_reference(rng, 1000), _hours(1), lambda _: [_frame(rng, 100)], SETTINGS)
    assert (report.verdict, report.signals) == ("too-few", [])


def test_small_reference_allows_one_look_only() -> None:
    assert not fits(_reference(np.random.default_rng(5), 700), SETTINGS)


def test_what_a_rollout_accepted_is_the_reference_after_it() -> None:
    rng = np.random.default_rng(7)
    reference = _reference(rng, 1000)
    assert not reference.with_accepted([_frame(rng, 900, shift=20)]).accepted
    accepted = reference.with_accepted([_frame(rng, 900, shift=20), _frame(rng, 900, shift=20)])
    assert accepted.accepted
    later = [_frame(rng, 1000, shift=20)]
    assert judge(reference, _hours(1), lambda _: later, SETTINGS).verdict == "drifted"
    assert judge(accepted, _hours(1), lambda _: later, SETTINGS).verdict == "stable"


def test_what_was_right_in_the_rollout_is_what_labels_are_held_to() -> None:
    rng = np.random.default_rng(9)
    reference = _reference(rng, 1000)
    frame = _frame(rng, 1200).with_columns(
        prediction_id=pl.Series([f"s{each}" for each in range(1200)]),
        shadow_of=pl.Series([f"c{each}" for each in range(600)] + [None] * 600))
    names = [f"c{each}" for each in range(600)] + [f"s{each}" for each in range(600, 1200)]
    truth = [name if row % 4 else "other" for row, name in enumerate(frame["label"])]
    labels = pl.DataFrame({"prediction_id": names, "truth": truth})
    accepted = reference.with_accepted([frame[:500], frame[500:]], labels.sample(800, seed=1))
    assert accepted.right is not None and accepted.known is not None
    assert len(accepted.right) == len(accepted.known.predicted) == 800
    assert accepted.right.mean() == pytest.approx(0.75, abs=0.03)
    assert reference.with_accepted([frame], labels.head(100)).right is None


def test_an_empty_log_is_read() -> None:
    rng = np.random.default_rng(10)
    rows = _reference(rng, 700).rows_of(_frame(rng, 10).head(0))
    assert rows.probabilities is not None
    assert (rows.probabilities.shape, rows.projected.shape) == ((0, CLASSES), (0, WIDTH))


def test_reference_without_rows_is_read() -> None:
    assert len(held_out_rows({"confidence": np.zeros(3)}).predicted) == 0
    with pytest.raises(ValueError, match="fewer than three windows"):
        judge(_reference(np.random.default_rng(8), 300), [], lambda _: [], SETTINGS)
