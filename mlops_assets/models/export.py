"""Build of ``exported_model``: one program with preprocessing inside, checked against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlops_assets.contracts.model_card import (
    BATCHED_FILE,
    CARD_FILE,
    EXPLAIN_FILE,
    GOLDEN_FILE,
    INT8_FILE,
    PROGRAM_FILE,
    ModelCard,
    ModelOrigin,
)
from mlops_assets.contracts.neighbours import write_neighbours
from mlops_assets.contracts.pixels import PixelSpec
from mlops_assets.features.shards import read_shard
from mlops_assets.features.statistics import MAX_REFERENCE, evenly
from mlops_assets.models.backends.quantize import write_int8
from mlops_assets.models.explanation import export_explanation
from mlops_assets.models.network import ImageNetwork, load_network, read_spec
from mlops_assets.models.onnx_file import OPSET, write_batched, write_onnx
from mlops_assets.models.programs import run_network, run_program
from mlops_assets.models.reference import FIT_ROWS, write_reference
from mlops_assets.provenance.hashing import canonical_json, sha256_file
from resources.steps import Workspace

GOLDEN_ROWS = 16
# Training images among which a receipt looks for the nearest; evenly, where there are more.
NEIGHBOUR_ROWS = 50_000


class Program(nn.Module):
    """What is exported: ``images`` uint8 ``[N, H, W, C]`` to probabilities and embedding."""

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities float32 ``[N, K]`` and embedding float32 ``[N, E]``."""
        logits, embedding = self.network(images)
        return logits.softmax(dim=1), embedding


def export_program(network: ImageNetwork, pixels: PixelSpec, path: Path) -> None:
    """Write an ONNX program; equal networks give equal bytes."""
    example = torch.zeros((2, *pixels.shape), dtype=torch.uint8)
    write_onnx(
        Program(network).eval(), (example,), path,
        inputs=("images",), outputs=("probabilities", "embedding"),
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1, max=4096)}},
    )


def build_export(
    pixels: PixelSpec, name: str, max_parity_error: float, origin: ModelOrigin,
    metrics: dict[str, float], work: Workspace, *, threads: int, calibration_rows: int | None,
) -> None:
    """Fill ``exported_model``: programs, card, golden answers and the reference for drift.

    ``calibration_rows`` training images set the ranges of a quantized program; None: no such.
    """
    shards, trained = work.read("training_shards"), work.read("trained_model")
    test = read_shard(shards, "test")
    out, summary = work.out("exported_model"), work.summary("exported_model")
    network = load_network(trained)
    export_program(network, pixels, out / PROGRAM_FILE)
    kept = evenly(len(test.labels), MAX_REFERENCE)
    images = np.ascontiguousarray(test.images[kept])
    eager = run_network(trained, images, threads=threads)
    program = run_program(out, images, threads=threads)
    rewritten = write_batched(out / PROGRAM_FILE, out / BATCHED_FILE)
    forms = [program]
    if rewritten:
        forms.append(run_program(out, images, threads=threads, program=BATCHED_FILE))
    error = max(float(np.abs(eager[0] - form[0]).max()) for form in forms)
    quantized = 0
    if calibration_rows is not None:
        quantized = write_int8(out / PROGRAM_FILE, out / INT8_FILE,
                               read_shard(shards, "train").images, rows=calibration_rows)
    np.savez(out / GOLDEN_FILE, images=images[:GOLDEN_ROWS],
             probabilities=program[0][:GOLDEN_ROWS])
    fit, fit_labels = _fit_rows(shards)
    write_reference(out, images, test.labels[kept], test.image_ids[kept], program,
                    run_program(out, fit, threads=threads)[1], fit_labels)
    _write_neighbours(out, shards, threads)
    explanation = export_explanation(network, images, out)
    explained = explanation.explain == "gradcam"
    digest = sha256_file(out / PROGRAM_FILE)
    spec = read_spec(trained)
    card = ModelCard(
        name=name, version=digest, architecture=spec.model, classes=spec.classes, pixels=pixels,
        embedding_size=program[1].shape[1], program_sha256=digest, max_parity_error=error,
        batched_sha256=sha256_file(out / BATCHED_FILE) if rewritten else None,
        int8_sha256=None if calibration_rows is None else sha256_file(out / INT8_FILE),
        explain=explanation.explain,
        explain_sha256=sha256_file(out / EXPLAIN_FILE) if explained else None,
        metrics=metrics, origin=origin,
    )
    (out / CARD_FILE).write_bytes(canonical_json(card.model_dump(mode="json")))
    summary.values |= {"program_sha256": digest, "max_parity_error": error,
                       "program_bytes": (out / PROGRAM_FILE).stat().st_size,
                       "parity_rows": len(images), "convolutions_rewritten": rewritten,
                       "operations_quantized": quantized,
                       "opset": OPSET, **explanation.facts()}
    agree = float((eager[0].argmax(1) == program[0].argmax(1)).mean())
    summary.check(
        "parity", passed=error <= max_parity_error, largest=error, limit=max_parity_error,
        same_answer=agree,
        description=f"probabilities differ from torch eager by at most {error:.2e} over "
        f"{len(images)} images; the limit is {max_parity_error:g}",
    )


def _write_neighbours(out: Path, shards: Path, threads: int) -> None:
    train = read_shard(shards, "train")
    kept = evenly(len(train.labels), NEIGHBOUR_ROWS)
    embedding = run_program(out, train.images, threads=threads, rows=kept)[1]
    write_neighbours(out, train.image_ids[kept], train.labels[kept], embedding)


def _fit_rows(shards: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images and labels of some training rows, evenly."""
    train = read_shard(shards, "train")
    kept = evenly(len(train.labels), FIT_ROWS)
    return np.ascontiguousarray(train.images[kept]), train.labels[kept].astype(np.int64)
