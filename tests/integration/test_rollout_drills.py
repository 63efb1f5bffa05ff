"""Rollouts over HTTP: what is wrong goes back, what is better becomes champion, nothing is lost."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.rollout import LADDER, RolloutState, Step
from mlops_assets.releases.bento import build_bento
from mlops_assets.serving.states import SHARES, release
from resources.mlflow import Tracking
from tests.model_dir import write_model_dir
from tests.rollout_drill import Drill, place
from tests.rollout_platform import Platform
from tests.running import serving
from tests.wrong_bentos import (
    BETTER,
    CHAMPION,
    FAILING,
    FAILING_MORE,
    LESS_ACCURATE,
    PERMUTED,
    SLOW,
    SPEC,
    Recipe,
    program,
)

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
EVIDENCE = re.compile(r"(failed|slow|wrong|wrong pairs): [+-]\d\.\d{4} to [+-]\d\.\d{4}, margin \d")


@dataclass(frozen=True)
class Drilled:
    """A rollout that has ended; ``begun`` is the state that it started from."""

    tag: str
    begun: RolloutState
    drill: Drill
    ended: RolloutState


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drills")


def bento(folder: Path, recipe: Recipe) -> tuple[str, str]:
    """Tag and program of a released bento."""
    model = folder / f"model-{len(list(folder.glob('model-*')))}"
    card = write_model_dir(model, pixels=SPEC, content=program(recipe))
    built = build_bento(model, bentoml_home=folder / ".home", project_root=ROOT)
    return built.tag, card.version


@pytest.fixture(scope="module")
def platform(folder: Path) -> Iterator[Platform]:
    """A service whose champion is wrong for 1 % of images."""
    tag, version = bento(folder, CHAMPION)
    home = folder / "run" / ".platform"
    # What waits for a slow model is not shed: only a program that raises fails a request.
    variables = {"MLOPS_SERVICE_FOLLOW": str(home / SERVING_FILE), "MLOPS_SERVICE_MAX_WAIT": "30"}
    with serving(tag, folder / ".home", folder / "run", **variables) as running:
        assert running.client.base_url.port is not None
        made = Platform(home, running.client.base_url.port, Tracking(home, "drills"))
        made.alter(lambda state, now: release(state, tag, version, now=now))
        yield made


@pytest.fixture(scope="module")
def judges() -> Iterator[ProcessPoolExecutor]:
    """The process that judges."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool


def drilled(
    platform: Platform, judges: ProcessPoolExecutor, folder: Path, recipe: Recipe, step: Step
) -> Drilled:
    """A whole rollout from ``step`` on."""
    tag, version = bento(folder, recipe)
    begun = platform.begin(tag, version, step)
    drill = Drill(platform, recipe, judges)
    return Drilled(tag, begun, drill, asyncio.run(drill.run(tag)))


def check_every_answer_is_kept_once(platform: Platform, found: Drilled) -> None:
    records, failures = platform.journal()
    asked = found.drill.asked
    answered = {each.prediction_id: each for each in asked if each.status == 200}
    assert len(answered) == sum(each.status == 200 for each in asked)
    kept = Counter(each.answer.prediction_id for each in records if each.shadow_of is None)
    assert all(kept[prediction_id] == 1 for prediction_id in answered)
    ours = [each for each in records
            if each.revision >= found.begun.revision and each.shadow_of is None]
    assert {each.answer.prediction_id for each in ours} <= set(answered)
    for record in ours:
        client = answered[record.answer.prediction_id].client
        newer = place(client, found.tag) < SHARES.get(record.step, 0)  # type: ignore[call-overload]
        assert record.answer.model.slot == ("challenger" if newer else "champion")
    refused = [each for each in asked if each.status != 200]
    assert all(each.status == 500 and each.failing for each in refused)
    assert len(refused) == sum(
        each.count for each in failures
        if each.slot == "challenger" and each.revision >= found.begun.revision)


def check_the_audit_log(platform: Platform, found: Drilled) -> None:
    entries = platform.audit(after=found.begun.revision)
    assert [(each.details["step"], each.reason) for each in entries] == [
        (each.step, each.reason) for each in found.drill.changes]
    for entry in entries:
        assert (entry.actor, entry.action) == ("rollout_report", "judge")
        assert EVIDENCE.match(entry.reason)
        intervals = [each["interval"] for each in entry.details["findings"]]
        assert intervals and all(-1 <= each["lower"] <= each["upper"] <= 1 for each in intervals)


def check_the_labels(found: Drilled) -> None:
    labels = found.drill.labels
    assert not labels.refused
    assert labels.repeated > 0 and labels.disordered > labels.told / 4


@pytest.mark.parametrize(("recipe", "step", "metric"), [
    pytest.param(PERMUTED, "shadow", "wrong pairs", id="classes permuted"),
    pytest.param(LESS_ACCURATE, "shadow", "wrong pairs", id="5 points less accurate"),
    pytest.param(SLOW, "shadow", "slow", id="slow"),
    pytest.param(FAILING, "shadow", "failed", id="failing 1 %"),
    pytest.param(PERMUTED, "canary-1", "wrong", id="classes permuted, answering"),
    pytest.param(SLOW, "canary-10", "slow", id="slow, answering"),
    pytest.param(FAILING_MORE, "canary-50", "failed", id="failing 3 %, answering"),
])
def test_a_wrong_bento_goes_back(
    platform: Platform, judges: ProcessPoolExecutor, folder: Path, recipe: Recipe, step: Step,
    metric: str,
) -> None:
    before = platform.state().slots
    found = drilled(platform, judges, folder, recipe, step)
    (change,) = found.drill.changes
    assert (change.step, change.after) == (step, "idle")
    # What an earlier rollout of the same model showed counts as well.
    assert any(part.startswith(metric) for part in change.reason.split("; "))
    assert found.ended.slots == before
    check_every_answer_is_kept_once(platform, found)
    refused = sum(each.status != 200 for each in found.drill.asked)
    assert (refused > 0) == (recipe is FAILING_MORE)
    check_the_audit_log(platform, found)
    check_the_labels(found)


def test_a_better_bento_becomes_champion(
    platform: Platform, judges: ProcessPoolExecutor, folder: Path
) -> None:
    found = drilled(platform, judges, folder, BETTER, "shadow")
    assert [change.step for change in found.drill.changes] == [*LADDER]
    assert {slot: each.bento_tag for slot, each in found.ended.slots.items()} == {
        "champion": found.tag}
    assert found.ended.previous_champion == found.begun.slots["champion"]
    check_every_answer_is_kept_once(platform, found)
    assert {each.status for each in found.drill.asked} == {200}
    check_the_audit_log(platform, found)
    check_the_labels(found)
