"""Embeddings and statistics of every image of a batch; embeddings by one fixed timm backbone.

The backbone does not change when the served model does, so that distances stay comparable over
the years. Without pretrained weights it is a seeded random network: its features are weaker, but
as fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mlops_assets.config import FeatureSettings
from mlops_assets.contracts.image_statistics import NAMES, describe_images
from mlops_assets.contracts.manifest import MANIFEST_FILE
from mlops_assets.contracts.pixels import PixelSpec, decode_pixels
from mlops_assets.raw.snapshot import read_batches
from resources.engine import Engine
from resources.steps import Workspace

EMBEDDINGS_FILE: Final = "embeddings.npy"
IDS_FILE: Final = "ids.npy"
STATISTICS_FILE: Final = "statistics.npy"
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Backbone:
    """Makes the network that embeds; the same one from the same settings and seed."""

    settings: FeatureSettings
    channels: int
    seed: int
    threads: int

    def __call__(self) -> Embed:
        """A function from uint8 ``[n, H, W, C]`` to float32 ``[n, D]``."""
        import timm
        import torch

        torch.set_num_threads(self.threads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = timm.create_model(
                self.settings.backbone, pretrained=self.settings.pretrained, num_classes=0,
                in_chans=self.channels)
        network = network.eval().to(memory_format=torch.channels_last)

        def embed(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            with torch.inference_mode():
                batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
                vectors: NDArray[np.float32] = network(batch).float().numpy()
                return vectors

        return embed


def build_embeddings(
    settings: FeatureSettings, pixels: PixelSpec, work: Workspace, engine: Engine, *, seed: int,
    threads: int,
) -> None:
    """Write the files of a batch, sorted by image id.

    ``embeddings.npy`` is float32 ``[N, D]``, ``ids.npy`` ``[N]``, and ``statistics.npy`` float32
    ``[N, S]``, ``contracts.image_statistics`` of the pixels that are decoded here anyway.
    """
    manifest = pl.read_parquet(work.read("validated_images") / MANIFEST_FILE, columns=["image_id"])
    wanted = set(manifest["image_id"])
    ids: list[str] = []
    described = [np.zeros((0, len(NAMES)), np.float32)]

    def batches() -> Iterator[NDArray[np.uint8]]:
        for names, images in _decoded(work, pixels, wanted, settings.batch_size):
            ids.extend(names)
            described.append(np.stack([*describe_images(images).values()], axis=1))
            yield images

    backbone = Backbone(settings, pixels.channels, seed, threads)
    vectors = np.concatenate([*engine.run(backbone, batches())] or [
        backbone()(np.zeros((0, *pixels.shape), np.uint8))])
    order = np.argsort(np.array(ids, dtype="S64"), kind="stable")
    out, summary = work.out("embeddings"), work.summary("embeddings")
    np.save(out / EMBEDDINGS_FILE, vectors[order])
    np.save(out / IDS_FILE, np.array(ids, dtype="S64")[order])
    np.save(out / STATISTICS_FILE, np.concatenate(described)[order])
    finite = bool(np.isfinite(vectors).all())
    summary.values |= {"rows": len(ids), "dimensions": int(vectors.shape[1]),
                       "backbone": settings.backbone, "pretrained": settings.pretrained}
    summary.check("finite", passed=finite, description="every embedding value is a finite number")
    summary.check("complete", passed=len(ids) == len(wanted), embedded=len(ids),
                  wanted=len(wanted), description="every validated image has an embedding")


def _decoded(
    work: Workspace, pixels: PixelSpec, wanted: set[str], size: int
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Image ids and uint8 ``[n, H, W, C]`` in batches of ``size``, each wanted image once."""
    left = set(wanted)
    names: list[str] = []
    images: list[NDArray[np.uint8]] = []
    for table in read_batches(work.read("raw_images"), ["image_id", "content"]):
        contents = table.column("content")
        for index, image_id in enumerate(table.column("image_id").to_pylist()):
            if image_id not in left:
                continue
            left.discard(image_id)
            names.append(image_id)
            images.append(decode_pixels(contents[index].as_py(), pixels))
            if len(names) == size:
                yield names, np.stack(images)
                names, images = [], []
    if names:
        yield names, np.stack(images)
