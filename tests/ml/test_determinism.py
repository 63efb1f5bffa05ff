"""Deterministic mode: an image gets the same bytes alone, in any batch and under load."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from bentos.predictor import Predictor
from bentos.runtime import Runtime
from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    GOLDEN_FILE,
    PROGRAM_FILE,
    ModelCard,
    ModelOrigin,
)
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.models.export import export_program
from mlops_assets.models.onnx_file import write_batched
from mlops_assets.models.programs import run_program
from mlops_assets.provenance.hashing import sha256_file
from tests.ml.test_batched_form import make_network
from tests.model_dir import encode, random_image
from tests.serving import serve

SPEC = PixelSpec(height=28, width=28, channels=1)
IMAGES = np.stack([random_image(number, SPEC) for number in range(64)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resnet18 with its form for batches."""
    place = tmp_path_factory.mktemp("deterministic")
    export_program(make_network("resnet18"), SPEC, place / PROGRAM_FILE)
    assert write_batched(place / PROGRAM_FILE, place / BATCHED_FILE)
    probabilities, embedding = run_program(place, IMAGES[:16], threads=1)
    np.savez(place / GOLDEN_FILE, images=IMAGES[:16], probabilities=probabilities)
    digest, none = sha256_file(place / PROGRAM_FILE), "0" * 64
    card = ModelCard(
        name="classifier", version=digest, architecture="resnet18", classes=["a", "b", "c"],
        pixels=SPEC, embedding_size=embedding.shape[1], program_sha256=digest,
        max_parity_error=0.0, batched_sha256=sha256_file(place / BATCHED_FILE), metrics={},
        origin=ModelOrigin(
            dataset=none, training_shards=none, trained_model=none, code_commit=none[:40],
            config_sha256=none, lock_sha256=none, mlflow_run_id="none", dagster_run_id="none"))
    (place / CARD_FILE).write_text(card.model_dump_json())
    return place


def test_batches_of_any_size_give_the_same_bytes(folder: Path) -> None:
    runtime = Runtime(folder, threads=2, lone_threads=2, deterministic=True)
    alone = [runtime.predict(IMAGES[at : at + 1], alone=True) for at in range(64)]
    for size in (7, 64):
        for start in range(0, 64 - size + 1, size):
            found = runtime.predict(IMAGES[start : start + size])
            for part in (0, 1):
                expected = np.concatenate([each[part] for each in alone[start : start + size]])
                assert found[part].tobytes() == expected.tobytes()


def test_without_it_they_differ_by_rounding_alone(folder: Path) -> None:
    runtime = Runtime(folder, threads=2)
    alone = np.concatenate([runtime.predict(IMAGES[at : at + 1])[0] for at in range(64)])
    together = runtime.predict(IMAGES)[0]
    assert np.abs(alone - together).max() < 1e-5
    assert alone.tobytes() != together.tobytes()


def test_under_load_each_answer_is_the_one_that_it_has_alone(folder: Path, tmp_path: Path) -> None:
    runtime = Runtime(folder, deterministic=True)
    bodies = [encode(image) for image in IMAGES]
    expected = [runtime.predict(image[None])[0][0].tolist() for image in IMAGES]

    async def use(client: httpx.AsyncClient, _: Predictor) -> None:
        kind = {"content-type": "image/png"}
        numbers = [number % 64 for number in range(256)]
        answers = await asyncio.gather(*(
            client.post("/v1/predict", content=bodies[number], headers=kind)
            for number in numbers))
        for number, answer in zip(numbers, answers, strict=True):
            told = list(json.loads(answer.content)["probabilities"].values())
            assert np.array(told, np.float32).tobytes() == np.array(
                expected[number], np.float32).tobytes()

    serve(runtime, tmp_path / "journal", use, cache_entries=0, max_wait=60, answer_timeout=60)
