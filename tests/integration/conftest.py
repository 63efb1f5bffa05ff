"""One small platform home for all tests that only read it, or that mend what they damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.small_platform import SmallPlatform

COMMIT = "c" * 40


@pytest.fixture(scope="session")
def small_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallPlatform]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_CODE_COMMIT", COMMIT)
        yield SmallPlatform(tmp_path_factory.mktemp("platform"))


@pytest.fixture
def platform(small_platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> SmallPlatform:
    """The home that ``mlops`` works on within one test."""
    monkeypatch.setenv("PLATFORM_HOME", str(small_platform.home))
    monkeypatch.setenv("MLOPS_CODE_COMMIT", COMMIT)
    return small_platform
