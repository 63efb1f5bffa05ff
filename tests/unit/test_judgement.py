"""A challenger is judged by intervals that hold at every look, from counts alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import betaln

from mlops_assets.config import RolloutSettings
from mlops_assets.releases.confidence_sequences import Counts, confidence_sequence, difference
from mlops_assets.releases.judgement import Compared, Progress, judge

RULES = RolloutSettings()
LONG = Progress(seconds=1e6, answers=10**6)
GOOD = Compared(Counts(20_000, 20), Counts(20_000, 20))


def looks(rate: float, streams: int, length: int, seed: int) -> NDArray[np.int64]:
    """Events so far after each trial, ``[streams, length]``."""
    return np.random.default_rng(seed).binomial(1, rate, (streams, length)).cumsum(axis=1)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_sequence_misses_the_rate_in_few_streams_however_often_it_is_looked_at(
    rate: float,
) -> None:
    alpha, streams, length = 0.05, 400, 2_000
    hits = looks(rate, streams, length, seed=3)
    trials = np.arange(1, length + 1)
    misses = trials - hits
    # The same test as the interval's, at every single trial of every stream.
    wealth = (betaln(hits + 0.5, misses + 0.5) - betaln(0.5, 0.5)
              - hits * math.log(rate) - misses * math.log1p(-rate))
    missed = (wealth > math.log(1 / alpha)).any(axis=1)
    # 400 streams at 5 %: more than 35 happen once in ten thousand times.
    assert missed.sum() <= 35
    for stream in range(20):
        last = confidence_sequence(Counts(length, int(hits[stream, -1])), alpha)
        outside = not last.lower <= rate <= last.upper
        assert outside == bool(wealth[stream, -1] > math.log(1 / alpha))


@given(trials=st.integers(0, 5_000), data=st.data())
@settings(max_examples=100, deadline=None)
def test_an_interval_holds_its_rate_and_narrows(trials: int, data: st.DataObject) -> None:
    events = data.draw(st.integers(0, trials))
    found = confidence_sequence(Counts(trials, events), 0.05)
    assert 0 <= found.lower <= Counts(trials, events).rate <= found.upper <= 1
    wide = confidence_sequence(Counts(trials, events), 0.001)
    assert wide.lower <= found.lower and found.upper <= wide.upper
    more = confidence_sequence(Counts(4 * trials, 4 * events), 0.05)
    assert more.upper - more.lower <= found.upper - found.lower + 1e-9


def test_nothing_known_is_everything_possible() -> None:
    assert difference(Counts(0, 0), Counts(0, 0), 0.05).lower == -1
    with pytest.raises(ValueError, match="3 events among 2"):
        Counts(2, 3)
    with pytest.raises(ValueError, match="alpha is 1"):
        confidence_sequence(Counts(1, 1), 1)


def test_a_challenger_like_the_champion_goes_up() -> None:
    found = judge({"failed": GOOD, "slow": GOOD, "wrong": GOOD}, RULES, LONG)
    assert found.verdict == "advance"
    assert found.reason.count("not worse") == 3


@pytest.mark.parametrize(("metric", "rate"), [("failed", 0.01), ("slow", 0.05), ("wrong", 0.05)])
def test_a_challenger_that_is_worse_goes_back(metric: str, rate: float) -> None:
    worse = Compared(Counts(20_000, int((0.001 + rate) * 20_000)), GOOD.champion)
    evidence = {"failed": GOOD, "slow": GOOD, "wrong": GOOD, metric: worse}
    found = judge(evidence, RULES, LONG)  # type: ignore[arg-type]
    assert found.verdict == "roll back"
    assert found.reason.startswith(f"{metric}: +")


def test_too_little_is_no_verdict_and_no_label_is_no_accuracy() -> None:
    few = Compared(Counts(50, 0), Counts(50, 0))
    assert judge({"failed": few, "slow": few, "wrong": few}, RULES, LONG).verdict == "hold"
    found = judge({"failed": GOOD, "slow": GOOD}, RULES, LONG)
    assert (found.verdict, found.reason) == ("hold", "wrong: nothing is known")


def test_equal_models_are_hardly_ever_rolled_back() -> None:
    """200 rollouts of a copy, looked at 200 times each: the budget is 5 %."""
    wrong = 0
    for seed in range(200):
        ours, theirs = looks(0.1, 2, 4_000, seed)
        for at in range(19, 4_000, 20):
            pair = Compared(Counts(at + 1, int(ours[at])), Counts(at + 1, int(theirs[at])))
            if difference(pair.challenger, pair.champion, RULES.alpha / 12).lower > 0:
                wrong += 1
                break
    assert wrong <= 2


def test_a_step_lasts_for_some_time_and_some_answers() -> None:
    good = {"failed": GOOD, "slow": GOOD, "wrong": GOOD}
    found = judge(good, RULES, Progress(seconds=5, answers=3))  # type: ignore[arg-type]
    assert found.verdict == "hold"
    assert found.reason == "5 of 600 s at this step; 3 of 100 answers at this step"
    worse = {**good, "wrong": Compared(Counts(20_000, 4_000), GOOD.champion)}
    back = judge(worse, RULES, Progress(seconds=5, answers=3))  # type: ignore[arg-type]
    assert back.verdict == "roll back"


def test_either_way_of_counting_errors_may_support_the_claim() -> None:
    few = Compared(Counts(10, 1), Counts(900, 9))
    pairs = {"failed": GOOD, "slow": GOOD, "wrong": few, "wrong pairs": GOOD}
    assert judge(pairs, RULES, LONG).verdict == "advance"  # type: ignore[arg-type]
    assert judge({**pairs, "wrong pairs": few}, RULES, LONG).verdict == "hold"  # type: ignore[arg-type]
