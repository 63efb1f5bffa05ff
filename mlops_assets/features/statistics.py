"""Feature statistics: what the training images look like, the reference that drift is told from.

``reference.npz`` holds, over the training split: each of ``contracts.image_statistics`` float32
``[N]``, ``label_counts`` int64 ``[K]``, and the principal components of the backbone's embeddings:
``center`` ``[D]``, ``components`` ``[P, D]``, ``projected`` ``[N, P]``. At most 10,000 images are
kept, chosen evenly over the sorted image ids, which is a uniform sample since ids are hashes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.contracts.errors import PlatformError
from mlops_assets.contracts.image_features import FEATURES_FILE
from mlops_assets.contracts.image_statistics import NAMES
from mlops_assets.contracts.model_card import REFERENCE_FILE
from mlops_assets.contracts.summary import Summary
from mlops_assets.features.shards import Shard, read_classes, read_shard
from mlops_assets.pictures import SERIES, new_figure, to_png
from mlops_assets.provenance.record import InputRef, read_record
from resources.feature_history import historical
from resources.steps import Workspace
from resources.store import ArtifactStore

MAX_REFERENCE = 10_000
COMPONENTS = 16


class UnknownFeatures(PlatformError):
    """Training images whose features were not known when the dataset was made."""


def evenly(count: int, limit: int) -> NDArray[np.int64]:
    """At most ``limit`` of ``count`` indices, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64))


def principal_components(
    vectors: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Center ``[D]`` and the first ``count`` principal axes ``[count, D]`` (signs are fixed)."""
    center = vectors.mean(axis=0, dtype=np.float64)
    centered = vectors - center
    covariance = centered.T @ centered / max(1, len(vectors) - 1)
    values, axes = np.linalg.eigh(covariance)
    top = axes[:, np.argsort(values)[::-1][:count]].T
    signs = np.sign(top[np.arange(len(top)), np.abs(top).argmax(axis=1)])
    return center.astype(np.float32), (top * signs[:, None]).astype(np.float32)


def read_origin(store: ArtifactStore) -> tuple[InputRef, InputRef]:
    """The current training shards, and the dataset that they are of."""
    shards = store.pin("training_shards")
    inputs = read_record(store.path(shards)).inputs
    return shards, next(ref for ref in inputs if ref.asset == "dataset")


def build_statistics(as_of: datetime, work: Workspace) -> None:
    """Fill ``feature_statistics`` from the features that were known at ``as_of``.

    Raises:
        UnknownFeatures: some images of the training split had none.
    """
    shards = work.read("training_shards")
    classes, shard = read_classes(shards), read_shard(shards, "train")
    kept = evenly(len(shard.labels), MAX_REFERENCE)
    vectors, found = _features(work, shard, kept, as_of)
    mean, std = found["pixel_mean"], found["pixel_std"]
    center, components = principal_components(vectors, min(COMPONENTS, vectors.shape[1]))
    projected = ((vectors - center) @ components.T).astype(np.float32)
    counts = np.bincount(shard.labels, minlength=len(classes)).astype(np.int64)
    out, summary = work.out("feature_statistics"), work.summary("feature_statistics")
    arrays: dict[str, Any] = {"label_counts": counts, "center": center, "components": components,
                              "projected": projected, **found}
    np.savez(out / REFERENCE_FILE, **arrays)
    summary.values |= {"rows": len(kept), "pixel_mean": float(mean.mean()),
                       "pixel_std": float(std.mean()), "embedding_dimensions": vectors.shape[1]}
    _draw(summary, mean, std, projected, shard.labels[kept], classes)


def _features(
    work: Workspace, shard: Shard, kept: NDArray[np.int64], as_of: datetime
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Embeddings ``[N, D]`` and each statistic ``[N]`` of the kept images."""
    files = [folder / FEATURES_FILE for folder in work.read_every("image_features").values()]
    table = historical(files, shard.image_ids[kept].tolist(), as_of)
    embeddings = table.column("embedding").combine_chunks()
    if embeddings.null_count:
        raise UnknownFeatures(
            f"{embeddings.null_count} training images have no features of before "
            f"{as_of:%Y-%m-%d %H:%M:%S} UTC; materialize `image_features` of every batch, and "
            "then `dataset`")
    vectors = embeddings.flatten().to_numpy().reshape(len(kept), -1)
    frame = pl.DataFrame(pl.from_arrow(table.select(NAMES)))
    return vectors, {name: frame[name].to_numpy() for name in NAMES}


def _draw(
    summary: Summary, mean: NDArray[np.float32], std: NDArray[np.float32],
    projected: NDArray[np.float32], labels: NDArray[np.int64], classes: list[str],
) -> None:
    figure, (left, right) = new_figure(8.0, 3.2, columns=2)
    left.hist(mean, bins=50, color=SERIES[0], alpha=0.8, label="mean")
    left.hist(std, bins=50, color=SERIES[1], alpha=0.6, label="standard deviation")
    left.set_title("Pixel statistics of an image", fontsize=10, loc="left")
    left.set_xlabel("grey levels", fontsize=8)
    left.legend(fontsize=8, frameon=False, loc="upper right")
    shown = evenly(len(projected), 1500)
    second = min(1, projected.shape[1] - 1)
    right.scatter(projected[shown, 0], projected[shown, second], c=labels[shown], s=4,
                  cmap="tab10" if len(classes) <= 10 else "turbo", alpha=0.7)
    right.set_title("Embeddings, first two components", fontsize=10, loc="left")
    summary.add_picture("distributions", to_png(figure))
