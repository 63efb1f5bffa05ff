"""``mlops as-of``: what served, on which data, at a moment of the past."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_assets.serving.states import release
from resources.platform_db import PlatformDatabase
from tests.small_platform import SmallPlatform, mlops


def as_of(moment: datetime) -> dict[str, Any]:
    found = mlops("as-of", moment.isoformat(), "--json")
    assert found.exit_code == 0, found.output
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def test_the_past_is_told_as_it_was(platform: SmallPlatform) -> None:
    database_file = platform.home / "platform.db"
    whole = database_file.read_bytes()
    before = datetime.now(UTC)
    with closing(PlatformDatabase(platform.home)) as database:
        first = database.read_state()
        changed = release(first, "classifier:other", "f" * 64, now=before)
        database.change_state(changed, actor="ann", action="release", details={})
    after = datetime.now(UTC)
    told = as_of(before)
    assert told["state"] == first.model_dump(mode="json")
    assert as_of(after)["state"] == changed.model_dump(mode="json")
    assert as_of(after)["changes"][-1]["actor"] == "ann"
    latest = {(each["asset"], each["partition"]): each["version"] for each in told["latest"]}
    assert latest["dataset", None] == platform.store.pin("dataset").version
    assert latest["raw_images", "initial"] == platform.store.pin("raw_images", "initial").version
    long_ago = as_of(before - timedelta(days=1000))
    assert (long_ago["state"]["revision"], long_ago["latest"]) == (0, [])
    text = mlops("as-of", before.isoformat()).output
    assert platform.tag in text
    assert "classifier:other" not in text
    assert "nothing served yet" in mlops("as-of", "2020-01-01").output
    database_file.write_bytes(whole)


@pytest.mark.parametrize(("text", "said"), [
    ("yesterday", "no moment"), ("2999-01-01", "in the future"),
])
def test_a_wrong_moment_is_one_line(platform: SmallPlatform, text: str, said: str) -> None:
    assert platform.tag
    found = mlops("as-of", text)
    assert found.exit_code == 1 and said in found.stderr
