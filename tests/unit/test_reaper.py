"""The reaper's plan: what is deleted, what is ended, and what is left in peace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.reaper import GRACE, RUN_WORKER, Job, Plan, Run, State, plan

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OLD, YOUNG = NOW - 2 * GRACE, NOW - GRACE / 2


def job(
    run: str = "a", *, made: datetime = OLD, done: bool = False, component: str = RUN_WORKER
) -> Job:
    return Job(f"{component}-of-{run}", run, component, made, done)


def test_a_job_of_an_ended_run_is_deleted_and_that_of_an_active_one_stays() -> None:
    jobs = [job("ended"), job("ended", component="step_worker"), job("active")]
    runs = {"ended": Run("ended", OLD), "active": Run("active", OLD)}
    assert plan(jobs, runs, NOW) == Plan(
        ("run_worker-of-ended", "step_worker-of-ended"), ())


def test_a_job_of_a_run_that_dagster_forgot_is_deleted() -> None:
    assert plan([job("forgotten")], {}, NOW) == Plan(("run_worker-of-forgotten",), ())


@pytest.mark.parametrize("state", ["active", "canceling"])
def test_a_run_without_its_job_is_ended(state: State) -> None:
    assert plan([], {"a": Run(state, OLD)}, NOW) == Plan((), ("a",))


def test_jobs_of_steps_do_not_keep_a_run_alive() -> None:
    steps = [job(component="step_worker")]
    assert plan(steps, {"a": Run("active", OLD)}, NOW) == Plan((), ("a",))


def test_what_is_young_is_left_in_peace() -> None:
    assert plan([job(made=YOUNG)], {}, NOW) == Plan((), ())
    assert plan([job()], {"a": Run("ended", YOUNG)}, NOW) == Plan((), ())
    assert plan([], {"a": Run("active", YOUNG)}, NOW) == Plan((), ())


def test_a_job_that_is_done_stays_for_its_log() -> None:
    assert plan([job(done=True)], {"a": Run("ended", OLD)}, NOW) == Plan((), ())


moments = st.sampled_from([OLD, YOUNG, NOW])
jobs_of = st.lists(st.builds(
    Job, name=st.uuids().map(str), run=st.sampled_from("abc"),
    component=st.sampled_from([RUN_WORKER, "step_worker"]), made=moments, done=st.booleans()))
runs_of = st.dictionaries(
    st.sampled_from("abc"),
    st.builds(Run, state=st.sampled_from(["active", "canceling", "ended"]), since=moments))


@given(jobs_of, runs_of)
def test_nothing_alive_is_touched_and_nothing_is_done_twice(
    jobs: list[Job], runs: dict[str, Run]
) -> None:
    todo = plan(jobs, runs, NOW)
    by_name = {each.name: each for each in jobs}
    for name in todo.delete:
        run = runs.get(by_name[name].run)
        assert run is None or run.state == "ended"
    carried = {each.run for each in jobs if each.component == RUN_WORKER}
    assert not carried & set(todo.end)
    left = [each for each in jobs if each.name not in todo.delete]
    ended = {name: Run("ended", NOW) if name in todo.end else run for name, run in runs.items()}
    assert plan(left, ended, NOW) == Plan((), ())
    assert plan(left, ended, NOW + timedelta(days=1)).end == tuple(
        name for name, run in ended.items() if run.state != "ended" and name not in carried)
