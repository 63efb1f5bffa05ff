"""Training shards of scikit-learn's digits, as the features group writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from mlops_assets.contracts.manifest import CLASSES_FILE
from mlops_assets.provenance.hashing import canonical_json, sha256_bytes


def write_shards(folder: Path, *, rows: int = 1797, channels: int = 1) -> Path:
    """Write uint8 ``[N, 8, 8, C]`` shards: every tenth row to validation, every fifth to test."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = (digits.images[:rows, :, :, None] / 16 * 255).astype(np.uint8)
    images = np.repeat(images, channels, axis=3)
    index = np.arange(len(images))
    masks = {"validation": index % 10 == 1, "test": index % 5 == 0}
    masks["train"] = ~(masks["validation"] | masks["test"])
    for split, mask in masks.items():
        np.save(folder / f"{split}-images.npy", images[mask])
        np.save(folder / f"{split}-labels.npy", digits.target[:rows][mask].astype(np.int64))
        ids = [sha256_bytes(str(i).encode()) for i in index[mask]]
        np.save(folder / f"{split}-ids.npy", np.array(ids, dtype="S64"))
        np.save(folder / f"{split}-batches.npy", np.full(int(mask.sum()), "initial"))
    (folder / CLASSES_FILE).write_bytes(canonical_json([f"digit-{i}" for i in range(10)]))
    return folder
