"""Build of ``rollout_report``: a rollout goes a step up or back by what the journal says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import FeedbackRecord, PredictionRecord, Slot
from mlops_assets.contracts.rollout import LADDER, RolloutState
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.releases.evidence import gather
from mlops_assets.releases.judgement import Judgement, judge
from mlops_assets.releases.rollout import advance, roll_back
from resources.journal import KEY_FORMAT, hours, journal_folder, read_failures, read_hour
from resources.steps import Workspace

REPORT_FILE: Final = "report.json"
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Look:
    """A state of serving, and the judgement of its step; None where there is no rollout."""

    state: RolloutState
    judgement: Judgement | None


def look(home: Path, state: RolloutState, settings: RolloutSettings) -> Look:
    """Judge the present step by the hours of the journal since it began."""
    if state.step not in LADDER or state.changed_at is None:
        return Look(state, None)
    folder = journal_folder(home)
    predictions: list[PredictionRecord] = []
    labels: list[FeedbackRecord] = []
    failed: Counter[Slot] = Counter()
    for key in _since(hours(folder), state.changed_at):
        answered, told = read_hour(folder, key)
        predictions += answered
        labels += told
        failed.update(each.slot for each in read_failures(folder, key)
                      if each.revision == state.revision)
    evidence = gather(predictions, labels, failed, state, settings)
    return Look(state, judge(evidence, settings))


def _since(keys: Iterable[str], moment: datetime) -> list[str]:
    """Hours that do not end before ``moment``."""
    return [key for key in keys
            if datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC) + HOUR > moment]


def follow(found: Look, present: RolloutState, now: datetime) -> RolloutState:
    """The state after a look; the present one where it has changed since, or nothing is to do."""
    judgement = found.judgement
    if judgement is None or present.revision != found.state.revision:
        return present
    if judgement.verdict == "advance":
        return advance(present, reason=judgement.reason, now=now)
    if judgement.verdict == "roll back":
        return roll_back(present, reason=judgement.reason, now=now)
    return present


def facts(found: Look) -> dict[str, Any]:
    """The evidence of a look, as it stands in the audit log and in the report."""
    judgement = found.judgement
    return {
        "revision": found.state.revision, "step": found.state.step,
        "verdict": "none" if judgement is None else judgement.verdict,
        "reason": "no rollout goes on" if judgement is None else judgement.reason,
        "findings": [] if judgement is None else [asdict(each) for each in judgement.findings],
    }


def build_rollout_report(found: Look, after: RolloutState, work: Workspace) -> None:
    """Fill ``rollout_report``."""
    body = facts(found)
    (work.out("rollout_report") / REPORT_FILE).write_bytes(canonical_json(
        {**body, "next": after.model_dump(mode="json")}))
    summary = work.summary("rollout_report")
    summary.values |= {"verdict": body["verdict"], "reason": body["reason"],
                       "judged_step": found.state.step, "step": after.step,
                       "revision": after.revision}
    summary.tables["findings"] = [
        {"metric": each.metric, "lower": each.interval.lower, "upper": each.interval.upper,
         "margin": each.margin, "challenger": each.compared.challenger.rate,
         "of": each.compared.challenger.trials, "champion": each.compared.champion.rate,
         "champion of": each.compared.champion.trials}
        for each in (found.judgement.findings if found.judgement else [])
    ]
