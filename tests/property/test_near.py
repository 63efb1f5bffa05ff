"""Near duplicates and distances of batches are what the definitions say, however they are found."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from mlops_assets.validated.batches import COLUMNS, compare_batches
from mlops_assets.validated.duplicates import within

SEEDS = st.integers(0, 2**32 - 1)


def by_definition(
    thumbnails: np.ndarray, queries: np.ndarray, references: np.ndarray, rms: float
) -> np.ndarray:
    gap = thumbnails[queries].astype(float)[:, None] - thumbnails[references].astype(float)[None]
    return ((gap**2).mean(axis=2) <= rms**2).any(axis=1)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 60), st.integers(1, 60), st.sampled_from((0.0, 1.0, 2.0, 6.0)))
def test_near_thumbnails_are_all_found(seed: int, count: int, others: int, rms: float) -> None:
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (others, 256), dtype=np.uint8)
    # Some lie just within the distance, some just beyond, and some are far from every other.
    copies = base[rng.integers(0, others, count)].astype(int)
    shift = rng.choice([0, 1, 2, 3, 6, 7, 90], count)[:, None] * rng.choice([-1, 1], (count, 256))
    thumbnails = np.concatenate([base, np.clip(copies + shift, 0, 255).astype(np.uint8)])
    queries, references = np.arange(others, others + count), np.arange(others)
    assert np.array_equal(within(thumbnails, queries, references, rms),
                          by_definition(thumbnails, queries, references, rms))


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_projections_that_agree_decide_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Nothing differs in the axes that the tree knows: all lie beside each other there.
    flat = np.full((40, 256), 100, np.uint8)
    noise = rng.integers(0, 2, (200, 256), dtype=np.uint8) * rng.choice([0, 1, 5, 60], (200, 1))
    thumbnails = np.concatenate([flat, (100 + noise).astype(np.uint8)])
    queries, references = np.arange(40, 240), np.arange(40)
    for rms in (0.5, 2.0):
        assert np.array_equal(within(thumbnails, queries, references, rms),
                              by_definition(thumbnails, queries, references, rms))


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(2, 5))
def test_distances_of_batches_are_kolmogorov_and_smirnovs(seed: int, batches: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 400
    names = rng.integers(0, batches, rows)
    frame = pl.DataFrame({
        "batch": [f"b{each}" for each in names], "label": rng.choice(["x", "y", "z"], rows),
        # Rounded, so that values are equal within and between batches.
        "mean": np.round(rng.normal(100 + names, 3)), "std": rng.normal(40, 5, rows),
        "width": rng.choice([28, 32, 64], rows), "height": rng.choice([28, 32], rows),
        "bytes": rng.integers(300, 400, rows)})
    for row in compare_batches(frame):
        mine = frame.filter(batch=row["batch"])
        others = frame.filter(pl.col("batch") != row["batch"])
        told = {name: ks_2samp(mine.select(how).to_series(), others.select(how).to_series())
                .statistic for name, how in COLUMNS.items()}
        assert np.isclose(row["distance"], max(told.values()))
        assert np.isclose(told[row["column"]], row["distance"])
        shares = [each["label"].value_counts(normalize=True) for each in (mine, others)]
        both = shares[0].join(shares[1], on="label", how="full", coalesce=True).fill_null(0.0)
        apart = (both["proportion"] - both["proportion_right"]).abs().sum() / 2
        assert np.isclose(row["classes"], apart)
