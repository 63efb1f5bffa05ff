"""The model that all serve: a timm resnet18 over 28 px grey images, with fixed random weights.

What an answer says does not matter to its cost, so nothing is trained.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch

from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    GOLDEN_FILE,
    PROGRAM_FILE,
    REFERENCE_FILE,
    ModelCard,
    ModelOrigin,
)
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.features.statistics import COMPONENTS, principal_components
from mlops_assets.models.export import Program, export_program
from mlops_assets.models.network import ImageNetwork, NetworkSpec
from mlops_assets.models.onnx_file import write_batched
from mlops_assets.models.programs import run_program
from mlops_assets.provenance.hashing import sha256_file

ARCHITECTURE: Final = "resnet18"
MEAN, STD = 73.0, 90.0
NAMES: Final = [f"class-{number}" for number in range(10)]
NOTHING: Final = "0" * 64


def make_images(count: int, side: int, suffix: str) -> list[bytes]:
    """Distinct smooth grey images, encoded."""
    made = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (side, side), dtype=np.uint8)
        _, content = cv2.imencode(suffix, cv2.GaussianBlur(noise, (5, 5), 2))
        made.append(content.tobytes())
    return made


def _export_for_peers(network: ImageNetwork, pixels: PixelSpec, path: Path) -> None:
    """The same network as torch's own exporter writes it: what another server would be given."""
    example = torch.zeros((2, *pixels.shape), dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(
            Program(network).eval(), (example,), dynamo=True, verbose=False,
            input_names=["images"], output_names=["probabilities", "embedding"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=4096)}})
    if exported is None:
        raise RuntimeError("torch.onnx.export gave no program")
    exported.save(path)


def write_model(folder: Path, side: int) -> ModelCard:
    """A model folder for the service, and beside it what peers read."""
    folder.mkdir(parents=True)
    pixels = PixelSpec(height=side, width=side, channels=1)
    torch.manual_seed(0)
    spec = NetworkSpec(ARCHITECTURE, {}, None, 1, NAMES, [MEAN], [STD])
    network = ImageNetwork(spec).eval()
    export_program(network, pixels, folder / PROGRAM_FILE)
    _export_for_peers(network, pixels, folder / "peer.onnx")
    rewritten = write_batched(folder / PROGRAM_FILE, folder / BATCHED_FILE)
    torch.save(network.backbone.state_dict(), folder / "network.pt")
    (folder / "peer.json").write_text(json.dumps({
        "model": ARCHITECTURE, "model_args": {}, "classes": NAMES, "mean": MEAN, "std": STD}))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (256, *pixels.shape), dtype=np.uint8)
    probabilities, embedding = run_program(folder, images, threads=2)
    center, components = principal_components(embedding, COMPONENTS)
    np.savez(folder / GOLDEN_FILE, images=images[:16], probabilities=probabilities[:16])
    np.savez(folder / REFERENCE_FILE, center=center, components=components,
             projected=((embedding - center) @ components.T).astype(np.float32))
    digest = sha256_file(folder / PROGRAM_FILE)
    card = ModelCard(
        name="classifier", version=digest, architecture=ARCHITECTURE, classes=NAMES, pixels=pixels,
        embedding_size=embedding.shape[1], program_sha256=digest, max_parity_error=0.0,
        batched_sha256=sha256_file(folder / BATCHED_FILE) if rewritten else None,
        metrics={}, origin=ModelOrigin(
            dataset=NOTHING, training_shards=NOTHING, trained_model=NOTHING,
            code_commit=NOTHING[:40], config_sha256=NOTHING, lock_sha256=NOTHING,
            mlflow_run_id="none", dagster_run_id="none"),
    )
    (folder / CARD_FILE).write_text(card.model_dump_json())
    return card
