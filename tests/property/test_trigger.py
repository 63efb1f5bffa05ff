"""The drift trigger: exact ranks, mergeable sketches, and a verdict that no cut changes."""

from __future__ import annotations

import io
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import hypergeom, kstest, norm

from mlops_assets.monitoring.trigger.engine import Engine, Window, signal_names
from mlops_assets.monitoring.trigger.evidence import Beginnings, log_weight
from mlops_assets.monitoring.trigger.look import Look
from mlops_assets.monitoring.trigger.normal import count_z, hypergeometric, upper_quantile
from mlops_assets.monitoring.trigger.ranks import STATISTICS
from mlops_assets.monitoring.trigger.sketches import CELLS, Grid, count_cells, sketch
from mlops_assets.monitoring.trigger.stream import Trigger
from mlops_assets.monitoring.trigger.views import Matrix, Rows, Views

COLUMNS, CLASSES, WINDOW = 5, 4, 100


def draw(rng: np.random.Generator, rows: int, shift: float = 0.0) -> Matrix:
    """Correlated columns, one of them skewed, one with many ties; ``shift`` moves the first."""
    values = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
    values[:, 1] += values[:, 0]
    values[:, 0] += shift
    values[:, 2] = np.exp(values[:, 2])
    values[:, 3] = np.maximum(values[:, 3], 0)
    return Matrix(values, np.cos(values[:, :3]), rng.integers(0, CLASSES, rows))


def fit(rng: np.random.Generator, rows: int = 1000, **named: float) -> Trigger:
    names = signal_names([f"c{index}" for index in range(COLUMNS)],
                         [str(index) for index in range(CLASSES)])
    return Trigger.fit(draw(rng, rows), names, CLASSES, alpha=named.get("alpha", 0.01),
                       window_rows=WINDOW, seed=3)


def assert_same(left: Trigger, right: Trigger) -> None:
    one, other = left.to_arrays(), right.to_arrays()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)
    assert left.verdict == right.verdict


@cache
def whole() -> tuple[Trigger, Matrix]:
    rng = np.random.default_rng(0)
    trigger, rows = fit(rng), draw(rng, 1550)
    trigger.update(rows)
    return trigger, rows


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 1550), max_size=12))
def test_cuts_into_batches_change_nothing(cuts: list[int]) -> None:
    expected, rows = whole()
    trigger = fit(np.random.default_rng(0))
    for start, stop in pairwise([0, *sorted(cuts), 1550]):
        trigger.update(rows.part(slice(start, stop)))
    assert_same(trigger, expected)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1550))
def test_resumed_is_as_uninterrupted(stop: int) -> None:
    expected, rows = whole()
    trigger = fit(np.random.default_rng(0))
    trigger.update(rows.part(slice(0, stop)))
    kept = io.BytesIO()
    np.savez(kept, **trigger.to_arrays())
    with np.load(io.BytesIO(kept.getvalue()), allow_pickle=False) as stored:
        resumed = Trigger.from_arrays({name: stored[name] for name in stored.files})
    resumed.update(rows.part(slice(stop, None)))
    assert_same(resumed, expected)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 2**31))
def test_merged_sketches_are_the_sketch_of_the_whole(left: int, right: int, seed: int) -> None:
    rows = draw(np.random.default_rng(seed), left + right)
    grid = Grid.fit(rows.values[:left])

    def of(part: Matrix) -> object:
        return sketch(grid, part.values, part.predicted, part.maps, CLASSES)

    whole_sketch, first, second = (of(rows), of(rows.part(slice(0, left))),
                                   of(rows.part(slice(left, None))))
    merged = first.merge(second)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(merged.cells, whole_sketch.cells)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(merged.classes, whole_sketch.classes)  # type: ignore[attr-defined]
    np.testing.assert_allclose(merged.sums, whole_sketch.sums, atol=1e-3)  # type: ignore[attr-defined]
    assert merged.rows == left + right


@given(st.lists(st.floats(width=32), min_size=1, max_size=50))
def test_every_value_has_a_cell(values: list[float]) -> None:
    column = np.array(values, np.float32)[:, None]
    grid = Grid.fit(np.linspace(0, 1, 100, dtype=np.float32)[:, None])
    assert count_cells(grid, column).sum() == len(values)


@given(st.integers(1, 3000), st.data())
def test_hypergeometric_is_scipys(total: int, data: st.DataObject) -> None:
    marked, drawn = data.draw(st.integers(0, total)), data.draw(st.integers(1, min(total, 300)))
    exactly, fewer, more = hypergeometric(total, np.array([marked]), drawn)
    x = np.arange(drawn + 1)
    np.testing.assert_allclose(exactly[0], hypergeom.pmf(x, total, marked, drawn), atol=1e-9)
    np.testing.assert_allclose(more[0], hypergeom.sf(x, total, marked, drawn), atol=1e-9)
    np.testing.assert_allclose(fewer[0] + exactly[0] + more[0], 1.0, atol=1e-9)


def test_quantile_is_scipys_far_into_the_tail() -> None:
    tail = np.concatenate([10.0 ** -np.arange(1, 290), np.linspace(0.01, 0.99, 98)])
    np.testing.assert_allclose(upper_quantile(tail), norm.isf(tail), rtol=1e-12, atol=1e-15)


def test_randomised_counts_are_exactly_normal() -> None:
    rng = np.random.default_rng(1)
    counts = rng.hypergeometric(11, 2189, 200, size=(1, 20_000))
    z = count_z(counts, hypergeometric(2200, np.array([11]), 200), rng.random(counts.shape))
    assert kstest(z[0], "norm").pvalue > 0.01


def test_weights_of_beginnings_sum_to_less_than_one() -> None:
    summed = np.exp(log_weight(np.arange(1, 1_000_000))).sum()
    assert summed + 1 / np.log(1_000_000) / 2.1098 < 1.0


def test_beginnings_stay_few_and_recent_ones_stay() -> None:
    begun = Beginnings.first(1000, (1,))
    for rows in range(5000):
        begun = begun.add(1000 + rows, np.zeros(1))
    assert len(begun.window) < 60
    assert set(range(4994, 5002)) <= set(begun.window.tolist())


@pytest.fixture(scope="module")
def null() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores ``[T, G, S]`` and totals ``[T, G]`` of 200 streams of 100 windows, none drifting.

    The reference has ten windows of rows, so that its error would be plain to see.
    """
    rng, groups = np.random.default_rng(5), 200

    def rows(count: int) -> Window:
        drawn = draw(rng, groups * count)
        cells = np.clip((drawn.values + 4) * 100, 0, CELLS - 1).astype(np.int16)
        return Window(cells.reshape(groups, count, -1), drawn.maps.reshape(groups, count, -1),
                      drawn.predicted.reshape(groups, count))

    engine = Engine.fit(rows(500), CLASSES, window_rows=50, seed=5)
    scores, totals = [], []
    for _ in range(100):
        scores.append(engine.step(rows(50)))
        totals.append(engine.log_total())
    return np.stack(scores), np.stack(totals)


def test_without_drift_few_streams_ever_alarm(null: tuple[NDArray[np.float64], ...]) -> None:
    """At level 1/20 at most 5 % of 200 may; more than 19 has a chance below 0.3 %."""
    assert (np.exp(null[1].max(axis=0)) >= 20).sum() <= 19
    assert (np.exp(null[1].max(axis=0)) >= 1000).sum() <= 2


def test_scores_without_drift_are_standard(null: tuple[NDArray[np.float64], ...]) -> None:
    scores = null[0]
    count = scores.shape[0] * scores.shape[1]
    assert np.abs(scores.mean(axis=(0, 1))).max() < 5 / np.sqrt(count)
    assert np.abs(scores.std(axis=(0, 1)) - 1).max() < 5 / np.sqrt(2 * count)


def test_scores_are_independent_over_time(null: tuple[NDArray[np.float64], ...]) -> None:
    scores = null[0]
    count = scores.shape[0] * scores.shape[1]
    for lag in (1, 2, 10):
        products = (scores[lag:] * scores[:-lag]).mean(axis=(0, 1))
        assert np.abs(products).max() < 5.5 / np.sqrt(count), lag


def test_location_evidence_is_valid_for_windows_of_any_size() -> None:
    """``E exp(k z - k**2 / 2) <= 1`` for the location score, down to windows of one row."""
    rng = np.random.default_rng(6)
    for size in (1, 3, 40):
        pool, groups = 30, 4000
        values = rng.integers(0, CELLS, (groups, pool + size, 1)).astype(np.int16)
        empty = np.zeros((groups, pool + size, 1), np.float32)
        rows = Window(values, empty, np.zeros((groups, pool + size), np.int64))
        engine = Engine.fit(rows.part(0, pool), 1, window_rows=1, seed=6)
        engine.window_rows = size
        location = engine.step(rows.part(pool, pool + size))[:, 0]
        for bet in (-1.5, -0.5, 0.5, 1.5):
            values_ = np.exp(bet * location - bet**2 / 2)
            assert values_.mean() <= 1 + 4 * values_.std() / np.sqrt(groups), (size, bet)


def test_shift_is_found_soon_named_and_latched() -> None:
    rng = np.random.default_rng(7)
    trigger = fit(rng)
    trigger.update(draw(rng, 10 * WINDOW))
    assert trigger.verdict == "stable"
    assert trigger.baseline.rows == 1000 + 10 * WINDOW
    trigger.update(draw(rng, 5 * WINDOW, shift=1.0))
    assert trigger.verdict == "drifted"
    assert 11 <= trigger.alarm_window <= 14
    top = trigger.signals()[0]
    assert (top.name, top.direction) == ("c0: location", 1)
    assert 10 <= top.since <= 12
    trigger.update(draw(rng, 5 * WINDOW))
    assert trigger.verdict == "drifted"
    assert trigger.baseline.rows + trigger.suspect.rows == 1000 + 20 * WINDOW


def test_slow_drift_is_found() -> None:
    rng = np.random.default_rng(8)
    trigger = fit(rng)
    for step in range(150):
        trigger.update(draw(rng, WINDOW, shift=step / 100))
    assert trigger.verdict == "drifted"


def test_too_small_a_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than three windows"):
        fit(np.random.default_rng(9), rows=2 * WINDOW)


def test_one_look_finds_a_shift_and_keeps_its_level() -> None:
    rng = np.random.default_rng(10)
    reference = draw(rng, 2000)
    grid = Grid.fit(reference.values)

    def window(rows: Matrix) -> Window:
        return Window(grid.place(rows.values)[None], rows.maps[None], rows.predicted[None])

    engine = Engine.fit(window(reference), CLASSES, window_rows=WINDOW, seed=0)
    look = Look.fit(engine, window(reference), 100, draws=200)
    clean = [look.score(window(draw(rng, 100))) for _ in range(100)]
    # Three families are judged, each at 1/60.
    assert sum(score > np.log(60) for score in clean) <= 5 + 3 * np.sqrt(5)
    assert look.score(window(draw(rng, 100, shift=1.0))) > np.log(1000)


def rows_of(rng: np.random.Generator, count: int) -> Rows:
    probabilities = rng.dirichlet(np.full(CLASSES, 0.3), count).astype(np.float32)
    return Rows(
        predicted=probabilities.argmax(axis=1), confidence=probabilities.max(axis=1),
        projected=rng.normal(size=(count, 3)).astype(np.float32),
        norm=rng.uniform(1, 2, count).astype(np.float32), probabilities=probabilities,
        pixels={"pixel_mean": rng.uniform(0, 255, count).astype(np.float32)},
    )


def test_views_are_named_separable_and_finite() -> None:
    rows = rows_of(np.random.default_rng(11), 300)
    names = [str(index) for index in range(CLASSES)]
    both = Views.fit(rows)
    model, pixels = Views.fit(rows, families=("model",)), Views.fit(rows, families=("pixels",))
    widths = [len(each.names(names, probabilities=True, components=3))
              for each in (both, model, pixels)]
    assert widths == [each.matrix(rows).values.shape[1] for each in (both, model, pixels)]
    assert widths[0] == widths[1] + widths[2]
    assert np.isfinite(both.matrix(rows).values).all()
    assert len(signal_names(["a"], names)) == len(STATISTICS) + CLASSES + 3
