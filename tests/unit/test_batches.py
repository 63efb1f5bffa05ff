"""A batch that is not like the others is named when they are merged."""

from __future__ import annotations

import numpy as np
import polars as pl

from mlops_assets.contracts.summary import Summary
from mlops_assets.validated.batches import check_batches, compare_batches


def batch(name: str, rows: int, *, seed: int, brightness: float = 100.0, width: int = 64,
          labels: tuple[str, ...] = ("a", "b")) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({
        "batch": [name] * rows, "label": [labels[row % len(labels)] for row in range(rows)],
        "mean": rng.normal(brightness, 10, rows), "std": rng.normal(40, 5, rows),
        "width": np.full(rows, width), "height": np.full(rows, 64),
        "bytes": rng.integers(3000, 4000, rows)})


def check_of(*frames: pl.DataFrame) -> tuple[bool, str]:
    summary = Summary()
    check_batches(summary, pl.concat(frames), 0.5)
    (outcome,) = summary.checks
    assert not outcome.blocking
    return outcome.passed, outcome.description


def test_batches_of_one_kind_are_alike() -> None:
    passed, said = check_of(*(batch(f"b{number}", 300, seed=number) for number in range(4)))
    assert passed, said


def test_what_differs_is_named() -> None:
    usual = [batch(f"b{number}", 300, seed=number) for number in range(3)]
    dark = batch("dark", 200, seed=9, brightness=30, labels=("a",))
    passed, said = check_of(*usual, dark)
    assert not passed
    assert said == "differ from the other batches: dark: brightness 1.00, classes 0.50"
    (first, *_) = compare_batches(pl.concat([*usual, batch("wide", 60, seed=4, width=200)]))
    assert (first["batch"], first["images"], first["column"]) == ("wide", 60, "pixels")


def test_few_images_and_productions_own_raise_no_alarm() -> None:
    usual = [batch(f"b{number}", 300, seed=number) for number in range(2)]
    few = batch("few", 10, seed=5, brightness=30)
    turned = batch("feedback-abc-1", 200, seed=6, brightness=30)
    assert check_of(*usual, few, turned)[0]
    assert compare_batches(usual[0]) == []
