"""Running a network or an exported program over images, in batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlops_assets.contracts.model_card import PROGRAM_FILE

BATCH_ROWS = 500

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


def run_program(
    folder: Path, images: NDArray[np.uint8], *, threads: int, program: str = PROGRAM_FILE,
    rows: NDArray[np.int64] | None = None,
) -> Outputs:
    """Probabilities ``[N, K]`` and embeddings ``[N, E]`` of an exported model, by ONNX Runtime.

    Args:
        folder: of an exported model.
        images: uint8 ``[N, H, W, C]``; may be memory-mapped.
        program: the file of it that is run.
        threads: of ONNX Runtime's intra-op pool.
        rows: of the images, in this order; None: all.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        str(folder / program), options, providers=["CPUExecutionProvider"]
    )
    wanted = np.arange(len(images)) if rows is None else rows
    parts = [
        session.run(["probabilities", "embedding"],
                    {"images": np.ascontiguousarray(images[wanted[start : start + BATCH_ROWS]])})
        for start in range(0, len(wanted), BATCH_ROWS)
    ]
    return (np.concatenate([part[0] for part in parts]),
            np.concatenate([part[1] for part in parts]))


def run_network(folder: Path, images: NDArray[np.uint8], *, threads: int) -> Outputs:
    """The same of a trained model, by torch eager on the CPU: the reference for parity."""
    import torch

    from mlops_assets.models.network import load_network

    torch.set_num_threads(threads)
    network = load_network(folder).to(memory_format=torch.channels_last)
    probabilities, embeddings = [], []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_ROWS):
            logits, embedding = network(torch.from_numpy(images[start : start + BATCH_ROWS].copy()))
            probabilities.append(logits.softmax(1).numpy())
            embeddings.append(embedding.numpy())
    return np.concatenate(probabilities), np.concatenate(embeddings)
