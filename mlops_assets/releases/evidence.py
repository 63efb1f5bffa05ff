"""What the journal says of a challenger and the champion at the present step of a rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import FeedbackRecord, PredictionRecord, Slot
from mlops_assets.contracts.rollout import RolloutState
from mlops_assets.releases.judgement import Compared, Metric
from mlops_assets.releases.sequential import Counts


def gather(
    predictions: Iterable[PredictionRecord], labels: Iterable[FeedbackRecord],
    failed: Mapping[Slot, int], state: RolloutState, settings: RolloutSettings,
) -> dict[Metric, Compared]:
    """Evidence of the step that ``state`` is at; records of another revision do not count.

    ``failed`` are requests of this step that were answered with an error, by slot. A prediction's
    last label counts, however often and in whatever order labels came. Cached answers say nothing
    of a model's speed. A shadow is compared on the same images, pair by pair.
    """
    ours = [each for each in predictions if each.revision == state.revision]
    truth: dict[str, FeedbackRecord] = {}
    for label in labels:
        known = truth.get(label.prediction_id)
        if known is None or (known.at, known.label) < (label.at, label.label):
            truth[label.prediction_id] = label
    newer: Slot = "shadow" if "shadow" in state.slots else "challenger"
    by_slot: dict[Slot, list[PredictionRecord]] = {"champion": [], newer: []}
    for record in ours:
        if record.answer.model.slot in by_slot:
            by_slot[record.answer.model.slot].append(record)
    found: dict[Metric, Compared] = {
        "failed": Compared(*(_failed(by_slot[slot], failed.get(slot, 0))
                             for slot in (newer, "champion"))),
        "slow": Compared(*(_slow(by_slot[slot], settings.slow_ms)
                           for slot in (newer, "champion"))),
        "wrong": _pairs(by_slot, truth) if newer == "shadow" else Compared(
            _wrong(by_slot[newer], truth), _wrong(by_slot["champion"], truth)),
    }
    return {metric: each for metric, each in found.items()
            if each.challenger.trials and each.champion.trials}


def _failed(records: list[PredictionRecord], failed: int) -> Counts:
    return Counts(len(records) + failed, failed)


def _slow(records: list[PredictionRecord], slow_ms: float) -> Counts:
    computed = [each for each in records if not each.cached]
    return Counts(len(computed), sum(each.answer.latency_ms > slow_ms for each in computed))


def _wrong(records: list[PredictionRecord], truth: Mapping[str, FeedbackRecord]) -> Counts:
    labelled = {each.answer.prediction_id: each.answer.label for each in records
                if each.answer.prediction_id in truth}
    return Counts(len(labelled), sum(label != truth[key].label for key, label in labelled.items()))


def _pairs(
    by_slot: Mapping[Slot, list[PredictionRecord]], truth: Mapping[str, FeedbackRecord]
) -> Compared:
    """Among images that both answered and that have a label: where only one was wrong."""
    answered = {each.answer.prediction_id: each.answer.label for each in by_slot["champion"]}
    pairs = {key: each.answer.label for each in by_slot["shadow"]
             if (key := each.shadow_of) is not None and key in answered and key in truth}
    only_shadow = only_champion = 0
    for key, seen in pairs.items():
        right = truth[key].label
        only_shadow += seen != right == answered[key]
        only_champion += seen == right != answered[key]
    return Compared(Counts(len(pairs), only_shadow), Counts(len(pairs), only_champion))
