"""A rollout goes up or back by the records of its step, in whatever order labels come."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import (
    Answer,
    AnsweringModel,
    FailureRecord,
    FeedbackRecord,
    PredictionRecord,
    Slot,
    new_prediction_ids,
)
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.monitoring.rollouts import follow, look
from mlops_assets.releases.confidence_sequences import Counts
from mlops_assets.releases.evidence import Seen, gather
from mlops_assets.releases.judgement import Compared
from mlops_assets.serving.states import advance, arrive, hold, promote, release, roll_back
from resources.journal import JournalWriter, journal_folder
from sensors.rollout import build_rollout_sensor

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RULES = RolloutSettings(step_seconds=0, step_answers=20)
ONE = release(RolloutState(revision=0), "classifier:one", "1" * 64, now=NOW)
SHADOW = arrive(ONE, "classifier:two", "2" * 64, now=NOW, automatic=True)


def up(state: RolloutState) -> RolloutState:
    return advance(state, reason="fine", now=NOW)


def answered(
    slot: Slot, label: str, state: RolloutState, *, prediction_id: str = "",
    shadow_of: str | None = None, ms: float = 5.0, cached: bool = False,
) -> PredictionRecord:
    version = "1" * 64 if slot == "champion" else "2" * 64
    model = AnsweringModel(name="classifier", version=version, sha256=version, slot=slot)
    return PredictionRecord(
        answer=Answer(prediction_id=prediction_id or new_prediction_ids(1, NOW)[0], label=label,
                      confidence=0.9, probabilities={label: 0.9}, model=model, latency_ms=ms),
        at=NOW, image_sha256="i" * 64, bento_tag="classifier:one", embedding=[0.5],
        pixel_mean=1.0, pixel_std=1.0, revision=state.revision, step=state.step,
        shadow_of=shadow_of, cached=cached)


def labelled(record: PredictionRecord, label: str, minutes: int = 1) -> FeedbackRecord:
    return FeedbackRecord(prediction_id=record.answer.prediction_id, label=label,
                          at=NOW + timedelta(minutes=minutes))


def test_the_ladder_ends_with_a_champion() -> None:
    state, steps, shares = SHADOW, [SHADOW.step], []
    while state.step != "idle":
        state = up(state)
        steps.append(state.step)
        newer = state.slots.get("challenger")
        shares.append(newer.weight if newer else 1.0)
    assert steps == ["shadow", "canary-1", "canary-10", "canary-50", "idle"]
    assert shares == [0.01, 0.1, 0.5, 1.0]
    assert state.slots["champion"].bento_tag == "classifier:two"
    assert state.previous_champion == ONE.slots["champion"]
    assert state.revision == SHADOW.revision + 4


@pytest.mark.parametrize("state", [SHADOW, up(SHADOW)])
def test_from_every_step_there_is_a_way_back_and_a_halt(state: RolloutState) -> None:
    back = roll_back(state, reason="worse", now=NOW)
    assert back.slots == ONE.slots and back.step == "idle"
    held = hold(state, reason="wait", now=NOW)
    assert set(held.slots) == {"champion", "challenger"} and held.step == "held"
    assert held.slots["challenger"].weight == 0
    assert promote(state, reason="sure", now=NOW).slots["champion"].bento_tag == "classifier:two"
    newer = release(state, "classifier:three", "3" * 64, now=NOW)
    assert {each.bento_tag for each in newer.slots.values()} == {
        "classifier:one", "classifier:three"}


def test_without_automatic_rollouts_a_new_bento_waits() -> None:
    assert arrive(ONE, "classifier:two", "2" * 64, now=NOW, automatic=False).step == "held"
    first = arrive(RolloutState(revision=0), "classifier:one", "1" * 64, now=NOW, automatic=True)
    assert first == ONE
    assert SHADOW.revision == ONE.revision + 1
    assert arrive(SHADOW, "classifier:two", "2" * 64, now=NOW, automatic=True) is SHADOW


def test_a_shadow_is_compared_pair_by_pair() -> None:
    champion = [answered("champion", "bag", SHADOW) for _ in range(6)]
    shadow = [answered("shadow", "coat", SHADOW, shadow_of=each.answer.prediction_id)
              for each in champion[:5]]
    told = [labelled(champion[0], "bag"), labelled(champion[1], "coat"),
            labelled(champion[2], "shirt"), labelled(champion[5], "bag")]
    lost = FailureRecord(at=NOW, slot="shadow", model_version="2" * 64, revision=SHADOW.revision,
                         problem="overloaded", count=2)
    found = gather(map(Seen.of, [*champion, *shadow]), told, [lost], SHADOW, RULES)
    assert found["wrong pairs"] == Compared(Counts(3, 1), Counts(3, 1))
    assert found["failed"] == Compared(Counts(7, 2), Counts(6, 0))
    assert found["slow"] == Compared(Counts(5, 0), Counts(6, 0))


def test_late_repeated_and_disordered_labels_give_the_same_evidence() -> None:
    state = up(SHADOW)
    chance = random.Random(0)
    records = [answered(chance.choice(("champion", "challenger")), "bag", state)
               for _ in range(200)]
    told = [labelled(each, chance.choice(("bag", "coat"))) for each in records[:150]]
    corrected = [labelled(each, "bag", minutes=5) for each in records[:20]]
    stray = FeedbackRecord(prediction_id="0" * 32, label="bag", at=NOW)
    expected = gather(map(Seen.of, records), [*told, *corrected], [], state, RULES)
    for _ in range(5):
        again = [*told, *corrected, *chance.choices(told, k=50), stray]
        chance.shuffle(again)
        chance.shuffle(records)
        assert gather(map(Seen.of, records), again, [], state, RULES) == expected
    assert expected["wrong"].challenger.trials + expected["wrong"].champion.trials == 150


def test_cached_answers_and_other_revisions_do_not_count() -> None:
    state = up(SHADOW)
    records = [answered("champion", "bag", state, ms=900),
               answered("champion", "bag", state, ms=900, cached=True),
               answered("champion", "bag", ONE, ms=900),
               answered("challenger", "bag", state)]
    found = gather(map(Seen.of, records), [], [], state, RULES)
    assert found["slow"] == Compared(Counts(1, 0), Counts(1, 1))
    assert found["failed"] == Compared(Counts(1, 0), Counts(2, 0))
    assert "wrong" not in found


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    made = JournalWriter(journal_folder(tmp_path))
    yield made
    made.close()


def write_step(
    writer: JournalWriter, state: RolloutState, *, rows: int, wrong: float, failing: float = 0.0
) -> None:
    chance = random.Random(1)
    for _ in range(rows):
        champion = answered("champion", "bag", state)
        newer = answered("challenger", "coat" if chance.random() < wrong else "bag", state)
        for record in (champion, newer):
            writer.append(record)
            writer.append(labelled(record, "bag", minutes=0))
        if chance.random() < failing:
            writer.append(FailureRecord(at=NOW, slot="challenger", model_version="2" * 64,
                                        revision=state.revision, problem="failed"))


@pytest.mark.parametrize(("wrong", "failing", "step"), [
    (0.0, 0.0, "canary-10"), (0.08, 0.0, "idle"), (0.0, 0.06, "idle")])
def test_the_journal_moves_the_rollout(
    tmp_path: Path, writer: JournalWriter, wrong: float, failing: float, step: str
) -> None:
    state = up(SHADOW)
    write_step(writer, state, rows=2_500, wrong=wrong, failing=failing)
    found = look(tmp_path, state, RULES, now=NOW)
    after = follow(found, state, NOW)
    assert after.step == step, found
    assert ("challenger" in after.slots) == (step != "idle")
    moved = hold(state, reason="a person was faster", now=NOW)
    assert follow(found, moved, NOW) is moved


def test_what_comes_while_the_journal_is_read_waits_for_the_next_look(
    tmp_path: Path, writer: JournalWriter
) -> None:
    state = up(SHADOW)
    write_step(writer, state, rows=100, wrong=0.0)
    for seconds in range(60):
        writer.append(FailureRecord(at=NOW + timedelta(seconds=seconds), slot="challenger",
                                    model_version="2" * 64, revision=state.revision,
                                    problem="failed"))
    for seconds, expected in ((0, 1), (9, 10)):
        found = look(tmp_path, state, RULES, now=NOW + timedelta(seconds=seconds)).judgement
        assert found is not None
        failed = next(each for each in found.findings if each.metric == "failed")
        assert failed.compared.challenger == Counts(100 + expected, expected)
    found = look(tmp_path, state, RULES, now=NOW - timedelta(seconds=1)).judgement
    assert found is not None and found.findings == []


def test_few_answers_hold_and_without_a_rollout_nothing_is_judged(
    tmp_path: Path, writer: JournalWriter
) -> None:
    state = up(SHADOW)
    write_step(writer, state, rows=30, wrong=0.0)
    found = look(tmp_path, state, RULES, now=NOW)
    assert found.judgement is not None and found.judgement.verdict == "hold"
    assert follow(found, state, NOW) is state
    nothing = look(tmp_path, ONE, RULES, now=NOW)
    assert nothing.judgement is None and follow(nothing, ONE, NOW) is ONE


def test_the_sensor_asks_only_while_a_rollout_goes_on() -> None:
    sensor = build_rollout_sensor(interval_seconds=5)
    with dg.DagsterInstance.ephemeral() as instance:
        def requests() -> int:
            result = sensor(dg.build_sensor_context(instance=instance))
            assert isinstance(result, dg.SensorResult)
            return len(result.run_requests or [])

        assert requests() == 0
        for asset, step, expected in (("rollout", "shadow", 1), ("rollout_report", "canary-1", 1),
                                      ("rollout_report", "idle", 0), ("rollout", "held", 0)):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(asset, metadata={"step": step}))
            assert requests() == expected, (asset, step)
