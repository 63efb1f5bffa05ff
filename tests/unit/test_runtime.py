"""A model folder is served only as its card says and only when it computes what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.cpus import cpu_quota
from bentos.runtime import Runtime
from bentos.sessions import BATCHES, ModelRefused, fastest
from bentos.settings import ServiceSettings, journal_dir, model_dir
from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    GOLDEN_FILE,
    PROGRAM_FILE,
    ModelCard,
)
from mlops_assets.provenance.hashing import sha256_file
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


def add_batched(folder: Path, card: ModelCard, content: bytes) -> None:
    (folder / BATCHED_FILE).write_bytes(content)
    named = card.model_copy(update={"batched_sha256": sha256_file(folder / BATCHED_FILE)})
    (folder / CARD_FILE).write_text(named.model_dump_json())


def test_the_form_for_batches_is_held_against_its_card_and_the_golden_answers(
    tmp_path: Path,
) -> None:
    folder, other = tmp_path / "model", tmp_path / "other"
    card = write_model_dir(folder)
    write_model_dir(other, seed=1)
    add_batched(folder, card, (folder / PROGRAM_FILE).read_bytes())
    images = np.random.default_rng(0).integers(0, 256, (40, *card.pixels.shape), dtype=np.uint8)
    plain = Runtime(folder)
    assert np.array_equal(plain.predict(images)[0], Runtime(folder).predict(images)[0])
    (folder / BATCHED_FILE).write_bytes(b"other")
    with pytest.raises(ModelRefused, match=r"batched\.onnx has SHA-256"):
        Runtime(folder)
    add_batched(folder, card, (other / PROGRAM_FILE).read_bytes())
    with pytest.raises(ModelRefused, match="golden check"):
        Runtime(folder)


class Timed:
    """A session that takes ``cost(rows)`` seconds of a clock that only it moves."""

    now = 0.0

    def __init__(self, fixed: float, each: float) -> None:
        self._fixed, self._each = fixed, each

    def run(self, _: None, given: dict[str, NDArray[np.uint8]]) -> None:
        Timed.now += self._fixed + self._each * len(given["images"])


def test_each_batch_size_runs_the_form_that_is_faster_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bentos.sessions.time.perf_counter", lambda: Timed.now)
    plain, batched = Timed(0.0, 1.0), Timed(5.0, 0.5)
    chosen = fastest([plain, batched], (2, 2, 1))
    assert len(chosen) == BATCHES[-1] + 1
    assert {size: chosen[size] for size in (1, 4, 8)} == dict.fromkeys((1, 4, 8), plain)
    assert {size: chosen[size] for size in (9, 16, 32)} == dict.fromkeys((9, 16, 32), batched)
