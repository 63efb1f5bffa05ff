"""Build of ``rollout_report``: a rollout goes a step up or back by what the journal says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mlops_assets.config import RolloutSettings
from mlops_assets.contracts.prediction import FailureRecord, FeedbackRecord
from mlops_assets.contracts.rollout import LADDER, RolloutState
from mlops_assets.provenance.hashing import canonical_json
from mlops_assets.releases.evidence import Seen, gather, rollout_of
from mlops_assets.releases.judgement import Judgement, Progress, judge
from mlops_assets.serving.states import advance, roll_back
from resources.journal import (
    KEY_FORMAT,
    hours,
    journal_folder,
    read_failures,
    read_labels,
    read_lines,
)
from resources.steps import Workspace

REPORT_FILE: Final = "report.json"
HOUR: Final = timedelta(hours=1)
# How the service writes a step; only answers given while a rollout went on are read.
STEP_MARKS: Final = [b'"step":"%b"' % step.encode() for step in LADDER]


@dataclass(frozen=True, slots=True)
class Standing:
    """A state of serving, and the judgement of its step; None where there is no rollout."""

    state: RolloutState
    judgement: Judgement | None


def look(
    home: Path, state: RolloutState, settings: RolloutSettings, *, now: datetime | None = None
) -> Standing:
    """Judge the present step by what the journal has of the rollout, latest hour first.

    What was answered or failed after ``now`` (when reading begins, unless given) does not count.
    Reading takes a while: failures, which are read last, would else be of a longer time than
    answers are, and every slot would seem to fail more often than it does.
    """
    if state.step not in LADDER or state.changed_at is None:
        return Standing(state, None)
    until = now or datetime.now(UTC)
    folder = journal_folder(home)
    predictions: list[Seen] = []
    labels: list[FeedbackRecord] = []
    failures: list[FailureRecord] = []
    for key in reversed(hours(folder)):
        lines = read_lines(folder, key, STEP_MARKS)
        known = [each for each in map(Seen.parse, lines) if each.at <= until]
        if _ended(key, state.changed_at) and not _judged(state, known):
            break
        predictions += known
        labels += read_labels(folder, key)
        failures += (each for each in read_failures(folder, key) if each.at <= until)
    evidence = gather(predictions, labels, failures, state, settings)
    version = rollout_of(state, ()).version
    answers = sum(each.revision == state.revision and each.version == version
                  for each in predictions)
    progress = Progress((until - state.changed_at).total_seconds(), answers)
    return Standing(state, judge(evidence, settings, progress))


def _ended(key: str, moment: datetime) -> bool:
    """Whether an hour ended before ``moment``."""
    return datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC) + HOUR <= moment


def _judged(state: RolloutState, predictions: list[Seen]) -> bool:
    """Whether the newer model of a state was judged by some of the predictions."""
    return len(rollout_of(state, predictions).revisions - {state.revision}) > 0


def follow(found: Standing, present: RolloutState, now: datetime) -> RolloutState:
    """The state after a look; the present one where it has changed since, or nothing is to do."""
    judgement = found.judgement
    if judgement is None or present.revision != found.state.revision:
        return present
    if judgement.verdict == "advance":
        return advance(present, reason=judgement.reason, now=now)
    if judgement.verdict == "roll back":
        return roll_back(present, reason=judgement.reason, now=now)
    return present


def facts(found: Standing) -> dict[str, Any]:
    """The evidence of a look, as it stands in the audit log and in the report."""
    judgement = found.judgement
    return {
        "revision": found.state.revision, "step": found.state.step,
        "verdict": "none" if judgement is None else judgement.verdict,
        "reason": "no rollout goes on" if judgement is None else judgement.reason,
        "findings": [] if judgement is None else [asdict(each) for each in judgement.findings],
    }


def build_rollout_report(found: Standing, after: RolloutState, work: Workspace) -> None:
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
