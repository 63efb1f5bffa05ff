"""The gate on planted candidates: 200 drawn pairs of a kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from benchmarks.gate.kinds import Classes, Setting, make_kinds, pick
from benchmarks.gate.planted import DRIFTED, INITIAL, Slice, draw_pair, judge_pair
from mlops_assets.config import GateSettings
from mlops_assets.models.gate import (
    GateReport,
    SliceComparison,
    compare_slice,
    holm,
    judge,
    non_inferiority,
    rows_needed,
)

SEEDS = 200
DRAWN = GateSettings(bootstrap_rounds=100)
NAMES = [f"class {each}" for each in range(10)]
LIKE_FINE_TUNED = Setting(
    accuracy=dict.fromkeys(NAMES, 0.9), disagreement=dict.fromkeys(NAMES, 0.02),
    drifted=0.5, repair=0.3, repair_disagreement=0.4, drifted_disagreement=0.15,
)
ROWS, DRIFTED_ROWS = 1000, 2000


def judge_seeds(kind: str, rows: int = ROWS) -> list[GateReport]:
    """What the gate says of every seed of a kind."""
    plant = make_kinds(LIKE_FINE_TUNED)[kind]
    return [
        judge_pair(*plant(LIKE_FINE_TUNED.classes(rows), LIKE_FINE_TUNED.batch(DRIFTED_ROWS), seed),
                   DRAWN, seed=seed)
        for seed in range(SEEDS)
    ]


def share_promoted(reports: list[GateReport]) -> float:
    return sum(report.passed for report in reports) / len(reports)


def find(report: GateReport, name: str) -> SliceComparison:
    return next(part for part in report.slices if part.slice == name)


@pytest.mark.parametrize(
    ("kind", "rows"),
    [("exact copy", 1000), ("copy, other seed", 1000), ("copy, other seed", 4000),
     ("worse by 1 point everywhere", 1000)],
)
def test_a_model_that_is_not_better_is_promoted_in_at_most_five_percent(
    kind: str, rows: int
) -> None:
    assert share_promoted(judge_seeds(kind, rows)) <= 0.05


@pytest.mark.parametrize(
    "kind", ["repair, one old class 2 points worse",
             "better by 1 point, one old class 2 points worse"],
)
def test_a_better_model_with_one_old_class_two_points_worse_does_not_pass(kind: str) -> None:
    reports = judge_seeds(kind)
    assert share_promoted(reports) <= 0.05
    assert sum(report.decision == "reject" for report in reports) >= 0.8 * SEEDS


@pytest.mark.parametrize("kind", ["repair", "repair by 5 points"])
def test_a_repair_of_the_drifted_batch_is_promoted_in_at_least_95_percent(kind: str) -> None:
    assert share_promoted(judge_seeds(kind)) >= 0.95


def test_a_thin_class_is_inconclusive_in_every_seed() -> None:
    reports = judge_seeds("repair, one class of 40 rows")
    assert {report.decision for report in reports} <= {"inconclusive", "reject"}
    assert all(find(report, pick(NAMES, seed)).verdict == "inconclusive"
               for seed, report in enumerate(reports))
    assert "40 rows, about" in next(report.reason for report in reports
                                    if report.decision == "inconclusive")


def test_a_class_of_few_rows_without_discordant_ones_is_not_taken_for_unharmed() -> None:
    reports = judge_seeds("repair, one class of 120 rows 2 points worse")
    assert share_promoted(reports) == 0.0
    untouched = np.ones(120, bool)
    assert compare_slice("few", untouched, untouched, DRAWN).verdict == "inconclusive"


def test_a_repair_does_not_hide_what_it_costs_old_rows_of_a_class() -> None:
    right = np.ones(4000, bool)
    drifted = np.arange(4000) >= 2000
    champion, candidate = right & ~drifted, right & (drifted | (np.arange(4000) >= 100))
    slices = {"class a": right, DRIFTED: drifted}
    assert judge(candidate, champion, slices, DRAWN).passed
    report = judge(candidate, champion, slices, DRAWN, repairs=[DRIFTED])
    assert report.decision == "reject"
    assert find(report, "class a").rows == 2000


def test_a_repair_of_a_small_batch_counts_where_the_overall_accuracy_hides_it() -> None:
    rng = np.random.default_rng(0)
    old = {name: Slice(2000, 0.9, 0.02) for name in NAMES}
    batch = Slice(200, 0.5, 0.2, 0.1)
    candidate, champion, slices = _pair(old, batch, rng)
    assert not judge(candidate, champion, slices, DRAWN).passed
    report = judge(candidate, champion, slices, DRAWN, repairs=[DRIFTED])
    assert report.decision == "promote"
    assert report.reason.startswith(f"better {DRIFTED} by")


def _pair(
    old: Classes, batch: Slice, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], dict[str, NDArray[np.bool_]]]:
    """The same number of gained and lost old rows, so that only the batch differs."""
    candidate, champion, slices = draw_pair(
        {name: replace(each, disagreement=0.0) for name, each in old.items()}, batch, rng)
    index = np.flatnonzero(slices[INITIAL])
    candidate[index[::100]], champion[index[::100]] = True, False
    candidate[index[50::100]], champion[index[50::100]] = False, True
    return candidate, champion, slices


def test_a_slice_to_repair_must_be_there() -> None:
    with pytest.raises(KeyError, match="batch other"):
        judge(np.ones(9, bool), np.ones(9, bool), {}, DRAWN, repairs=["batch other"])


def test_non_inferiority_is_mcnemars_score_test_at_margin_zero_and_exact_without_gains() -> None:
    assert non_inferiority(30, 20, 400, margin=0.0) == pytest.approx(norm.sf(10 / np.sqrt(50)))
    assert non_inferiority(0, 0, 120, margin=0.02) == pytest.approx(binom.cdf(0, 120, 0.02))
    assert non_inferiority(0, 0, 100, margin=0.0) == 1.0


def test_non_inferiority_is_the_score_test_of_the_likeliest_model_that_is_worse_by_the_margin(
) -> None:
    gained, lost, rows, margin = 30, 20, 1000, 0.02

    def misfit(share: float) -> float:
        neither = 1 - 2 * share + margin
        return float(-(gained * np.log(share - margin) + lost * np.log(share)
                       + (rows - gained - lost) * np.log(neither)))

    share = minimize_scalar(misfit, bounds=(margin + 1e-9, 0.5), method="bounded",
                            options={"xatol": 1e-12}).x
    spread = np.sqrt((2 * share - margin - margin**2) / rows)
    expected = norm.sf(((gained - lost) / rows + margin) / spread)
    assert non_inferiority(gained, lost, rows, margin=margin) == pytest.approx(expected, rel=1e-4)


def test_holm_steps_up_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_rows_that_are_needed_are_enough() -> None:
    rng = np.random.default_rng(0)
    part = compare_slice("few", *Slice(400, 0.9, 0.05).draw(rng), DRAWN)
    rows = rows_needed(part, DRAWN)
    share = part.discordant / part.rows
    passed = [
        compare_slice("enough", *Slice(rows, 0.9, share).draw(rng), DRAWN).verdict
        in ("better", "not worse") for _ in range(SEEDS)
    ]
    assert np.mean(passed) >= 0.9
