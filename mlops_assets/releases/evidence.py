"""What the journal says of a challenger and the champion while its rollout goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import (
    FailureRecord,
    FeedbackRecord,
    PredictionRecord,
    Slot,
)
from mlops_assets.contracts.rollout import LADDER, RolloutState
from mlops_assets.releases.confidence_sequences import Counts
from mlops_assets.releases.judgement import Compared, Metric


@dataclass(frozen=True, slots=True)
class Seen:
    """What is read of a prediction's record, for a rollout."""

    prediction_id: str
    at: datetime
    label: str
    version: str
    slot: Slot
    revision: int
    step: str
    latency_ms: float
    cached: bool
    shadow_of: str | None

    @classmethod
    def of(cls, record: PredictionRecord) -> Seen:
        """Of a whole record."""
        answer = record.answer
        return cls(answer.prediction_id, record.at, answer.label, answer.model.version,
                   answer.model.slot, record.revision, record.step, answer.latency_ms,
                   record.cached, record.shadow_of)

    @classmethod
    def parse(cls, line: bytes) -> Seen:
        """Of a journal line that the service wrote; nothing else of it is looked at."""
        raw = orjson.loads(line)
        answer = raw["answer"]
        return cls(answer["prediction_id"], datetime.fromisoformat(raw["at"]), answer["label"],
                   answer["model"]["version"], answer["model"]["slot"], raw["revision"],
                   raw["step"], answer["latency_ms"], raw["cached"], raw["shadow_of"])


@dataclass(frozen=True, slots=True)
class Rollout:
    """The newer model of a state, and the revisions of serving at which it was judged."""

    version: str
    revisions: frozenset[int]

    def newer(self, record: Seen) -> bool:
        """Whether the newer model computed the record."""
        return record.version == self.version and record.slot in ("shadow", "challenger")


def rollout_of(state: RolloutState, predictions: Iterable[Seen]) -> Rollout:
    """The rollout that a state is at: every step at which its newer model has computed."""
    version = (state.slots.get("shadow") or state.slots["challenger"]).model_version
    draft = Rollout(version, frozenset())
    revisions = {each.revision for each in predictions if each.step in LADDER and draft.newer(each)}
    return Rollout(version, frozenset(revisions | {state.revision}))


def gather(
    predictions: Iterable[Seen], labels: Iterable[FeedbackRecord],
    failures: Iterable[FailureRecord], state: RolloutState, settings: RolloutSettings,
) -> dict[Metric, Compared]:
    """Evidence of the rollout that ``state`` is at, from its first step on.

    A prediction's last label counts, however often and in whatever order labels came. Cached
    answers say nothing of a model's speed. Of a shadow it is known what both models answered to the
    same image: these are compared pair by pair.
    """
    predictions = list(predictions)
    rollout = rollout_of(state, predictions)
    ours = [each for each in predictions if each.revision in rollout.revisions]
    truth: dict[str, FeedbackRecord] = {}
    for label in labels:
        known = truth.get(label.prediction_id)
        if known is None or (known.at, known.label) < (label.at, label.label):
            truth[label.prediction_id] = label
    newer = [each for each in ours if rollout.newer(each)]
    champion = [each for each in ours if each.slot == "champion"]
    failed = [each for each in failures if each.revision in rollout.revisions]
    lost = sum(each.count for each in failed
               if each.slot != "champion" and each.model_version == rollout.version)
    held = sum(each.count for each in failed if each.slot == "champion")
    answering = [each for each in newer if each.shadow_of is None]
    # While it was a shadow the champion's own answers have no counterpart but in the pairs.
    beside = {each.revision for each in answering}
    alone = [each for each in champion if each.revision in beside]
    found: dict[Metric, Compared] = {
        "failed": Compared(_failed(newer, lost), _failed(champion, held)),
        "slow": Compared(_slow(newer, settings.slow_ms), _slow(champion, settings.slow_ms)),
        "wrong pairs": _pairs(newer, champion, truth),
        "wrong": Compared(_wrong(answering, truth), _wrong(alone, truth)),
    }
    return {metric: each for metric, each in found.items()
            if each.challenger.trials and each.champion.trials}


def _failed(records: list[Seen], failed: int) -> Counts:
    return Counts(len(records) + failed, failed)


def _slow(records: list[Seen], slow_ms: float) -> Counts:
    computed = [each for each in records if not each.cached]
    return Counts(len(computed), sum(each.latency_ms > slow_ms for each in computed))


def _wrong(records: list[Seen], truth: Mapping[str, FeedbackRecord]) -> Counts:
    labelled = {each.prediction_id: each.label for each in records
                if each.prediction_id in truth}
    return Counts(len(labelled), sum(label != truth[key].label for key, label in labelled.items()))


def _pairs(
    newer: list[Seen], champion: list[Seen],
    truth: Mapping[str, FeedbackRecord],
) -> Compared:
    """Among images that both answered and that have a label: where only one was wrong."""
    answered = {each.prediction_id: each.label for each in champion}
    pairs = {key: each.label for each in newer
             if (key := each.shadow_of) is not None and key in answered and key in truth}
    only_newer = only_champion = 0
    for key, seen in pairs.items():
        right = truth[key].label
        only_newer += seen != right == answered[key]
        only_champion += seen == right != answered[key]
    return Compared(Counts(len(pairs), only_newer), Counts(len(pairs), only_champion))
