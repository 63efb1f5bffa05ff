"""The state of serving: pure changes, and the command that makes, audits and shows them."""

from __future__ import annotations

import getpass
import json
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from deploy.serve import read_champion
from mlops_assets.cli import main
from mlops_assets.contracts.files import SERVING_FILE
from mlops_assets.contracts.rollout import RolloutState, read_state
from mlops_assets.serving.states import (
    ImpossibleChange,
    hold,
    promote,
    publish_state,
    release,
    roll_back,
)
from resources.mlflow import PROGRAM_TAG, Tracking
from resources.person import operating_user
from resources.platform_db import PlatformDatabase

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EMPTY = RolloutState(revision=0)
ONE = release(EMPTY, "classifier:one", "1" * 64, now=NOW)
TWO = release(ONE, "classifier:two", "2" * 64, now=NOW)


def serving(state: RolloutState) -> dict[str, tuple[str, float]]:
    return {slot: (each.bento_tag, each.weight) for slot, each in state.slots.items()}


def test_the_first_release_serves_and_a_later_one_waits() -> None:
    assert serving(ONE) == {"champion": ("classifier:one", 1.0)}
    assert serving(TWO) == {"champion": ("classifier:one", 1.0),
                            "challenger": ("classifier:two", 0.0)}
    assert (ONE.step, TWO.step) == ("idle", "held")
    assert release(TWO, "classifier:two", "2" * 64, now=NOW) is TWO


def test_promote_hold_and_roll_back() -> None:
    promoted = promote(TWO, reason="better", now=NOW)
    assert serving(promoted) == {"champion": ("classifier:two", 1.0)}
    assert promoted.previous_champion == ONE.slots["champion"]
    back = roll_back(promoted, reason="worse", now=NOW)
    assert serving(back) == serving(ONE) and back.previous_champion is None
    assert serving(roll_back(TWO, reason="no", now=NOW)) == serving(ONE)
    assert serving(hold(TWO, reason="wait", now=NOW)) == serving(TWO)
    assert (promoted.reason, promoted.changed_at) == ("better", NOW)


@pytest.mark.parametrize("change", [promote, hold, roll_back])
@pytest.mark.parametrize("state", [EMPTY, ONE])
def test_what_can_not_be_changed_is_refused(change, state: RolloutState) -> None:
    with pytest.raises(ImpossibleChange, match="there is no challenger"):
        change(state, reason="why", now=NOW)


@given(st.lists(st.sampled_from(["release", "promote", "hold", "rollback"]), max_size=25))
def test_any_history_keeps_one_champion_with_the_traffic(actions: list[str]) -> None:
    state = EMPTY
    for number, action in enumerate(actions):
        before = state
        try:
            match action:
                case "release":
                    state = release(state, f"classifier:{number}", f"{number:064d}", now=NOW)
                case "promote":
                    state = promote(state, reason="p", now=NOW)
                case "hold":
                    state = hold(state, reason="h", now=NOW)
                case _:
                    state = roll_back(state, reason="r", now=NOW)
        except ImpossibleChange:
            continue
        assert state.revision == before.revision + 1
        assert state.slots["champion"].weight == 1.0
        assert sum(each.weight for each in state.slots.values()) == 1.0
        assert RolloutState.model_validate_json(state.model_dump_json()) == state


def test_the_service_is_told_its_champion(tmp_path: Path) -> None:
    publish_state(tmp_path, EMPTY)
    assert not (tmp_path / SERVING_FILE).exists()
    publish_state(tmp_path, TWO)
    assert read_state(tmp_path / SERVING_FILE) == TWO


def mlops(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["rollout", *arguments])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a real MLflow registry that knows both models."""
    home = tmp_path_factory.mktemp("registry")
    client = Tracking(home, "mlops-assets").client()
    client.create_registered_model("classifier")
    for number in ("1", "2"):
        client.create_model_version("classifier", f"file:///{number}", tags={
            PROGRAM_TAG: number * 64, "mlops.exported_model": number})
    return home


@pytest.fixture
def serving_home(registry: Path, home: Path) -> Path:
    """A copy of that home in which model one serves and model two waits."""
    shutil.copytree(registry, home)
    with closing(PlatformDatabase(home)) as database:
        for state in (ONE, TWO):
            database.change_state(state, actor="rollout", action="release", details={})
    return home


def test_promote_takes_effect_everywhere_and_is_audited(serving_home: Path) -> None:
    done = mlops("promote", "--reason", "  better on coats ")
    assert done.exit_code == 0, done.output
    assert read_champion(serving_home / SERVING_FILE).bento_tag == "classifier:two"
    tracking = Tracking(serving_home, "mlops-assets")
    champion = tracking.by_alias("classifier", "champion")
    assert champion is not None and champion.version == "2"
    assert tracking.by_alias("classifier", "challenger") is None
    told = json.loads(mlops("status", "--json").stdout)
    assert told["state"]["slots"]["champion"]["bento_tag"] == "classifier:two"
    last = told["audit"][-1]
    assert (last["actor"], last["action"], last["reason"]) == (
        getpass.getuser(), "promote", "better on coats")
    text = mlops("status").output
    for word in ("revision 3: idle", "classifier:two", "previous champion", "better on coats"):
        assert word in text


def test_roll_back_after_a_promotion_brings_the_previous_champion(serving_home: Path) -> None:
    for action in ("hold", "promote", "rollback"):
        assert mlops(action, "--reason", action, "--json").exit_code == 0
    assert read_champion(serving_home / SERVING_FILE).bento_tag == "classifier:one"
    again = mlops("rollback", "--reason", "again")
    assert again.exit_code == 1
    assert again.stderr.splitlines() == [
        "mlops: there is no challenger and no previous champion to go back to"]
    with closing(PlatformDatabase(serving_home)) as database:
        assert [each.action for each in database.read_audit()][2:] == [
            "hold", "promote", "rollback"]


def test_a_registry_that_does_not_answer_changes_nothing(
    serving_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = mlops("promote", "--reason", "better")
    assert done.exit_code == 1
    assert "MLflow at http://127.0.0.1:1 does not answer" in done.stderr
    with closing(PlatformDatabase(serving_home)) as database:
        assert database.read_state() == TWO


def test_a_change_needs_a_reason(serving_home: Path) -> None:
    assert "Missing option '--reason'" in mlops("promote").stderr
    assert "--reason must say why" in mlops("promote", "--reason", " ").stderr


def test_status_of_a_home_where_nothing_serves() -> None:
    assert "nothing serves yet" in mlops("status").output


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    assert operating_user() == "uid 54321"
