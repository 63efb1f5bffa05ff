"""The verdict is a function of what was answered and of the labels, not of how labels come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    FeedbackRecord,
    PredictionRecord,
    Slot,
)
from mlops_assets.contracts.rollout import RolloutState, Step
from mlops_assets.monitoring.rollouts import look
from mlops_assets.releases.evidence import Seen, gather
from mlops_assets.releases.judgement import Judgement, Progress, judge
from mlops_assets.serving.states import advance, arrive, release
from resources.journal import JournalWriter, journal_folder

CLASSES = ("bag", "coat", "shirt")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CHAMPION = release(RolloutState(revision=0), "classifier:one", "1" * 64, now=NOW)
SHADOW = arrive(CHAMPION, "classifier:two", "2" * 64, now=NOW, automatic=True)
CANARY = advance(SHADOW, reason="fine", now=NOW)
STATES: dict[Step, RolloutState] = {"shadow": SHADOW, "canary-1": CANARY}
RULES = RolloutSettings(step_seconds=0, step_answers=0)
LONG = Progress(seconds=1e9, answers=10**9)
# Differences of rates in tens of points: a few dozen labels are enough for every verdict.
WIDE = RolloutSettings(step_seconds=0, step_answers=0, failed_margin=0.4, slow_margin=0.4,
                       wrong_margin=0.4)


@dataclass(frozen=True)
class Case:
    """A step with its answers and labels; ``come`` is one way in which the labels may come."""

    state: RolloutState
    records: list[PredictionRecord]
    labels: list[FeedbackRecord]
    come: list[FeedbackRecord]


def record(state: RolloutState, number: int, slot: Slot, label: str) -> PredictionRecord:
    moment_ms = int(NOW.timestamp() * 1000) + number
    version = "1" * 64 if slot == "champion" else "2" * 64
    return PredictionRecord(
        answer=Answer(
            prediction_id=f"{moment_ms:012x}{number:020x}", label=label, confidence=0.9,
            probabilities={label: 0.9}, latency_ms=5.0,
            model=AnsweringModel(name="classifier", version=version, sha256=version, slot=slot)),
        at=NOW + timedelta(milliseconds=number), image_sha256="0" * 64, bento_tag="classifier:one",
        embedding=[0.5], pixel_mean=1.0, pixel_std=1.0, revision=state.revision, step=state.step)


def answers(state: RolloutState, count: int, seen: str) -> list[PredictionRecord]:
    """``count`` answers of each model: the champion's are bags, the newer one's ``seen``."""
    if state.step != "shadow":
        return [record(state, 2 * number + newer, ("champion", "challenger")[newer],
                       ("bag", seen)[newer]) for number in range(count) for newer in (0, 1)]
    found = [record(state, 2 * number, "champion", "bag") for number in range(count)]
    return found + [
        record(state, 2 * number + 1, "shadow", seen).model_copy(
            update={"shadow_of": each.answer.prediction_id})
        for number, each in enumerate(found)]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Labels, corrections among them, and the same labels late, again and in another order."""
    state = STATES[draw(st.sampled_from(("shadow", "canary-1")))]
    records = answers(state, draw(st.integers(1, 60)), draw(st.sampled_from(CLASSES)))
    labels = [
        FeedbackRecord(prediction_id=each.answer.prediction_id, label=label,
                       at=NOW + timedelta(seconds=draw(st.integers(0, 3))))
        for each in records for label in draw(st.lists(
            st.sampled_from(("bag", "bag", "bag", *CLASSES)), max_size=2))
    ]
    again = draw(st.lists(st.sampled_from(labels), max_size=30)) if labels else []
    return Case(state, records, labels, draw(st.permutations([*labels, *again])))


def verdict(case: Case, labels: list[FeedbackRecord], rules: RolloutSettings) -> Judgement:
    return judge(gather(map(Seen.of, case.records), labels, [], case.state, rules), rules, LONG)


@given(case=cases(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_repeated_and_disordered_labels_give_the_same_verdict(
    case: Case, data: st.DataObject
) -> None:
    expected = verdict(case, case.labels, WIDE)
    assert verdict(case, case.come, WIDE) == expected
    shuffled = Case(case.state, data.draw(st.permutations(case.records)), case.labels, case.come)
    assert verdict(shuffled, case.come, WIDE) == expected


@given(case=cases(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_looks_before_the_last_label_leave_no_trace(case: Case, data: st.DataObject) -> None:
    """Through the journal: whatever was judged meanwhile, the last look is the one look."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(case.come)), max_size=3)))
    later = NOW + timedelta(hours=1)
    with TemporaryDirectory() as folder:
        home = Path(folder)
        writer = JournalWriter(journal_folder(home))
        for each in case.records:
            writer.append(each)
        written = 0
        for cut in [*cuts, len(case.come)]:
            for label in case.come[written:cut]:
                writer.append(label)
            written = cut
            found = look(home, case.state, WIDE, now=later)
        writer.close()
    assert found.judgement == verdict(case, case.labels, WIDE)


@given(minutes=st.lists(st.integers(0, 300), min_size=400, max_size=400))
@settings(max_examples=10, deadline=None)
def test_labels_of_a_later_hour_count_for_the_hour_of_the_answer(minutes: list[int]) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        writer = JournalWriter(journal_folder(home))
        records = answers(SHADOW, 400, "coat")
        for each in records:
            writer.append(each)
        for each, late in zip(records, minutes, strict=False):
            writer.append(FeedbackRecord(prediction_id=each.answer.prediction_id, label="bag",
                                         at=NOW + timedelta(minutes=late)))
        found = look(home, SHADOW, RULES, now=NOW + timedelta(hours=6))
        writer.close()
    assert found.judgement is not None
    assert found.judgement.verdict == "roll back"
    assert found.judgement.reason.startswith("wrong pairs: +")


@pytest.mark.parametrize("step", ["shadow", "canary-1"])
@pytest.mark.parametrize(("seen", "expected"), [("bag", "advance"), ("coat", "roll back")])
def test_both_verdicts_come_of_labels_alone(step: Step, seen: str, expected: str) -> None:
    state = STATES[step]
    records = answers(state, 60, seen)
    labels = [FeedbackRecord(prediction_id=each.answer.prediction_id, label="bag", at=NOW)
              for each in records]
    case = Case(state, records, labels, labels)
    assert verdict(case, [], WIDE).verdict == "hold"
    assert verdict(case, labels, WIDE).verdict == expected
