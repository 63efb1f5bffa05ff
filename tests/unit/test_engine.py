"""Pieces come back in order, a few ahead, and the first error ends the work."""

from __future__ import annotations

import sys

import pytest

from mlops_assets.config import ComputeSettings
from mlops_assets.contracts.errors import FolderError
from resources.engine import EngineError, Threads, build_engine


def test_results_come_in_order_and_the_first_error_ends_the_work() -> None:
    assert list(Threads(3).run(lambda: lambda item: item * 2, range(100))) == list(
        range(0, 200, 2))
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 5:
            raise FolderError("five")
        return item

    with pytest.raises(FolderError, match="five"):
        list(Threads(2).run(lambda: work, range(10_000)))
    assert len(begun) < 100


def test_pieces_are_only_made_when_they_are_soon_needed() -> None:
    made = 0

    def pieces() -> object:
        nonlocal made
        for piece in range(1000):
            made += 1
            yield piece

    results = Threads(2).run(lambda: str, pieces())  # type: ignore[arg-type]
    assert next(results) == "0"
    assert made < 20
    results.close()


def test_an_engine_that_is_not_installed_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    engine = build_engine(ComputeSettings(engine="ray"), threads=1)
    with pytest.raises(EngineError, match=r"mlops-assets\[ray\]"):
        next(engine.run(lambda: str, [1]))
