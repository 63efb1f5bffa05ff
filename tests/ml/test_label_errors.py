"""Wrong labels are found among rows that the model has not learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mlops_assets.contracts.summary import Summary
from mlops_assets.features.shards import Shard
from mlops_assets.models.label_errors import (
    SUSPECTS_FILE,
    Answered,
    find_suspects,
    list_suspects,
)

WRONG = 30


@pytest.fixture(scope="module")
def answered() -> tuple[Answered, set[int]]:
    """Digits with planted wrong labels, and the answers of a model of other digits."""
    digits = load_digits()
    rng = np.random.default_rng(0)
    model = LogisticRegression(max_iter=2000).fit(digits.data[:900], digits.target[:900])
    labels = digits.target[900:].astype(np.int64)
    wrong = rng.choice(len(labels), WRONG, replace=False)
    labels[wrong] = (labels[wrong] + rng.integers(1, 10, WRONG)) % 10
    images = (digits.images[900:, :, :, None] / 16 * 255).astype(np.uint8)
    ids = np.array([f"{row:064x}" for row in range(len(labels))])
    shard = Shard(images, labels, ids, np.full(len(labels), "initial"))
    probabilities = model.predict_proba(digits.data[900:]).astype(np.float32)
    return Answered(shard, probabilities), {int(row) for row in wrong}


def test_planted_wrong_labels_are_found_first(answered: tuple[Answered, set[int]]) -> None:
    given, wrong = answered
    found = find_suspects(given.shard.labels, given.probabilities)
    assert len(wrong & set(found)) >= 0.85 * WRONG
    assert len(wrong & set(found[:WRONG])) >= 0.7 * WRONG
    clean = given.shard.labels.copy()
    clean[list(wrong)] = given.probabilities[list(wrong)].argmax(axis=1)
    assert len(find_suspects(clean, given.probabilities)) < len(found) / 2


def test_suspects_of_several_splits_are_written_and_shown(
    answered: tuple[Answered, set[int]], tmp_path: Path
) -> None:
    given, wrong = answered
    half = len(given.shard.labels) // 2
    parts = [
        Answered(Shard(given.shard.images[part], given.shard.labels[part],
                       given.shard.image_ids[part], given.shard.batches[part]),
                 given.probabilities[part])
        for part in (slice(None, half), slice(half, None))]
    summary = Summary()
    list_suspects(parts, [f"digit-{number}" for number in range(10)], tmp_path, summary)
    frame = pl.read_parquet(tmp_path / SUSPECTS_FILE)
    assert summary.values["label_suspects"] == frame.height
    rows = [int(each, 16) for each in frame["image_id"]]
    assert len(wrong & set(rows)) >= 0.85 * WRONG
    assert frame["confidence"].is_sorted()
    for row, told in zip(rows, frame.to_dicts(), strict=True):
        assert told["label"] == f"digit-{given.shard.labels[row]}"
        assert told["likelier"] == f"digit-{given.probabilities[row].argmax()}"
    assert "doubtful_images" in summary.pictures


def test_a_single_class_has_no_suspects() -> None:
    assert find_suspects(np.zeros(5, np.int64), np.full((5, 2), 0.5, np.float32)) == []
