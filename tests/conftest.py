"""Every test gets a platform home of its own, and none reads the one of the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.digits import write_digits


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh ``PLATFORM_HOME``."""
    place = tmp_path / "home"
    monkeypatch.setenv("PLATFORM_HOME", str(place))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MLOPS_PROFILE", raising=False)
    return place


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as an image folder; tests do not change it."""
    return write_digits(tmp_path_factory.mktemp("digits"))
