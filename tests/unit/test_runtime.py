"""A model folder is served only as its card says and only when it computes what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bentos.runtime import ModelRefused, Runtime, cpu_quota
from bentos.settings import ServiceSettings, journal_dir, model_dir
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import CARD_FILE, GOLDEN_FILE, PROGRAM_FILE, ModelCard
from tests.model_dir import write_model_dir


def test_a_model_that_is_not_its_card_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    card = write_model_dir(folder)
    program = (folder / PROGRAM_FILE).read_bytes()
    (folder / PROGRAM_FILE).write_bytes(program + b" ")
    with pytest.raises(ModelRefused, match="SHA-256"):
        Runtime(folder)
    (folder / PROGRAM_FILE).write_bytes(program)
    (folder / CARD_FILE).write_text("{}")
    with pytest.raises(ModelRefused, match="`name` Field required"):
        Runtime(folder)
    (folder / CARD_FILE).write_text(
        ModelCard.model_validate(card.model_dump() | {"embedding_size": 9}).model_dump_json()
    )
    with pytest.raises(ModelRefused, match="9 features"):
        Runtime(folder)
    (folder / CARD_FILE).unlink()
    with pytest.raises(ModelRefused, match="is missing"):
        Runtime(folder)


def test_a_model_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model_dir(folder)
    golden = folder / GOLDEN_FILE
    with np.load(golden) as arrays:
        images, probabilities = arrays["images"], arrays["probabilities"]
    np.savez(golden, images=images, probabilities=probabilities + np.float32(2e-3))
    with pytest.raises(ModelRefused, match=r"golden check .* differ by 0\.002"):
        Runtime(folder)
    np.savez(golden, images=images, probabilities=probabilities * np.float32("nan"))
    with pytest.raises(ModelRefused, match="golden check"):
        Runtime(folder)
    golden.unlink()
    with pytest.raises(ModelRefused, match="golden check"):
        Runtime(folder)


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLOPS_SERVICE_MAX_BATCH", "7")
    assert ServiceSettings().max_batch == 7
    for name in ("MLOPS_MODEL_DIR", "MLOPS_JOURNAL_DIR", "PLATFORM_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert model_dir().name == "model"
    assert journal_dir() == Path(".platform/journal")
    monkeypatch.setenv("PLATFORM_HOME", "s3://bucket")
    with pytest.raises(PlatformError, match="MLOPS_JOURNAL_DIR"):
        journal_dir()
    monkeypatch.setenv("MLOPS_JOURNAL_DIR", str(tmp_path))
    assert journal_dir() == tmp_path
    assert cpu_quota() >= 1
