"""What is tried again: a server that is away, never a verdict."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.present import RETRIES, late_after
from resources.mlflow import MlflowError

SOON = dg.RetryPolicy(max_retries=RETRIES.max_retries, delay=0.01)


@pytest.mark.parametrize(("error", "tries"), [
    (MlflowError("away"), RETRIES.max_retries + 1), (PlatformError("wrong for good"), 1)])
def test_only_what_may_go_away_by_itself_is_tried_again(error: PlatformError, tries: int) -> None:
    calls = []

    @dg.asset(retry_policy=SOON)
    def made() -> None:
        calls.append(1)
        raise dg.Failure(str(error), allow_retries=error.transient)

    assert not dg.materialize([made], raise_on_error=False).success
    assert len(calls) == tries


def test_a_failed_blocking_check_is_a_verdict() -> None:
    calls = []

    @dg.asset(retry_policy=SOON, check_specs=[dg.AssetCheckSpec("gate", asset="judged",
                                                                blocking=True)])
    def judged() -> Iterator[dg.MaterializeResult[None]]:
        calls.append(1)
        yield dg.MaterializeResult(check_results=[
            dg.AssetCheckResult(passed=False, check_name="gate")])

    assert not dg.materialize([judged], raise_on_error=False).success
    assert len(calls) == 1


def test_late_is_warned_of_at_half_the_time() -> None:
    policy = late_after(4)
    assert isinstance(policy, dg.FreshnessPolicy)
    assert "7200" in str(policy) and "14400" in str(policy)
