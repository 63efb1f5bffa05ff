"""A change under a key is made once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.contracts.errors import PlatformError
from resources.changes import KeyReused, OutcomeUnknown, once
from resources.platform_db import PlatformDatabase


class NoAnswer(PlatformError):
    """Whether it was done is not known."""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[PlatformDatabase]:
    with closing(PlatformDatabase(tmp_path)) as opened:
        yield opened


def test_a_change_is_made_once_also_after_a_restart(
    database: PlatformDatabase, tmp_path: Path
) -> None:
    made: list[int] = []

    def make() -> str:
        made.append(1)
        return "run-1"

    assert once(database, "key-number-1", "aa", make) == ("run-1", False)
    with closing(PlatformDatabase(tmp_path)) as restarted:
        assert once(restarted, "key-number-1", "aa", make) == ("run-1", True)
        with pytest.raises(KeyReused):
            once(restarted, "key-number-1", "bb", make)
    assert made == [1]


def test_what_is_refused_may_be_asked_again(database: PlatformDatabase) -> None:
    def refuse() -> str:
        raise PlatformError("not now")

    with pytest.raises(PlatformError, match="not now"):
        once(database, "key-number-1", "aa", refuse)
    assert once(database, "key-number-1", "aa", lambda: "done") == ("done", False)


@pytest.mark.parametrize("error", [NoAnswer("silence"), KeyboardInterrupt()])
def test_what_may_have_been_made_is_not_made_again(
    database: PlatformDatabase, error: BaseException
) -> None:
    def fall_silent() -> str:
        raise error

    with pytest.raises(type(error)):
        once(database, "key-number-1", "aa", fall_silent, doubtful=(NoAnswer,))
    with pytest.raises(OutcomeUnknown, match="under a new key"):
        once(database, "key-number-1", "aa", lambda: "done")


def test_two_at_a_time_are_one(database: PlatformDatabase) -> None:
    def make() -> str:
        with pytest.raises(OutcomeUnknown):
            once(database, "key-number-1", "aa", lambda: "twice")
        return "once"

    assert once(database, "key-number-1", "aa", make) == ("once", False)
