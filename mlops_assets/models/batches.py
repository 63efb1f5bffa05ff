"""Training batches: whole-batch gathers from memory-mapped shards, augmented as a batch.

Order and augmentation of every batch are functions of (seed, epoch, step) alone, so that a
resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mlops_assets.features.shards import Shard


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random flips, translations of up to ``shift`` pixels, and erased rectangles."""

    flip: bool
    shift: int
    erase: float


def step_generator(seed: int, epoch: int, step: int) -> torch.Generator:
    """A generator whose stream depends on nothing but its arguments."""
    words = np.random.SeedSequence([seed, epoch, step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))


def epoch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """A permutation of ``rows`` indices."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def gather_batches(
    shard: Shard, order: NDArray[np.int64], batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels uint8 ``[B, H, W, C]`` and labels int64 ``[B]``; a short last batch is left out.

    The rows of a batch are read in ascending order, which keeps reads of a large file local; the
    order inside a batch does not matter to training.
    """
    for start in range(0, len(order) - batch_size + 1, batch_size):
        rows = np.sort(order[start : start + batch_size])
        yield torch.from_numpy(shard.images[rows]), torch.from_numpy(shard.labels[rows])


def augment(pixels: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Augmented copies of uint8 ``[B, H, W, C]``; each image has its own flip and shift."""
    count, height, width, _ = pixels.shape
    if how.shift:
        padded = functional.pad(pixels, (0, 0, how.shift, how.shift, how.shift, how.shift))
        moves = torch.randint(0, 2 * how.shift + 1, (2, count, 1), generator=generator)
        rows = (moves[0] + torch.arange(height))[:, :, None]
        columns = (moves[1] + torch.arange(width))[:, None, :]
        pixels = padded[torch.arange(count)[:, None, None], rows, columns]
    if how.flip:
        flips = torch.rand(count, generator=generator) < 0.5
        pixels = torch.where(flips[:, None, None, None], pixels.flip(2), pixels)
    if how.erase:
        pixels = _erase(pixels, how.erase, generator)
    return pixels


def _erase(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Erase one rectangle in a share of the batches (torchvision's RandomErasing)."""
    from torchvision.transforms import v2

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(0, 2**62, (1,), generator=generator)))
        erased: Tensor = v2.RandomErasing(p=share)(pixels.permute(0, 3, 1, 2))
    return erased.permute(0, 2, 3, 1)


def channel_moments(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel in grey levels, exact to float64.

    Args:
        images: uint8 ``[N, H, W, C]``; read in blocks, so it may be memory-mapped.
    """
    channels = images.shape[-1]
    histogram = np.zeros((channels, 256), np.int64)
    for start in range(0, len(images), 4096):
        block = images[start : start + 4096].reshape(-1, channels)
        for channel in range(channels):
            histogram[channel] += np.bincount(block[:, channel], minlength=256)
    levels = np.arange(256, dtype=np.float64)
    total = histogram.sum(axis=1)
    mean = histogram @ levels / total
    variance = histogram @ levels**2 / total - mean**2
    return mean.tolist(), np.sqrt(np.maximum(variance, 1e-6)).tolist()
