"""Training batches: whole-batch gathers from memory-mapped shards, augmented as a batch.

Order and augmentation of every batch are functions of (seed, epoch, step) alone, so that a
resumed run sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mlops_assets.contracts.manifest import FEEDBACK_PREFIX
from mlops_assets.features.shards import Shard

AHEAD: Final = 2
BLOCK_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random flips, translations of up to ``shift`` pixels, and erased rectangles."""

    flip: bool
    shift: int
    erase: float


def step_generator(seed: int, epoch: int, step: int, rank: int = 0) -> torch.Generator:
    """A generator whose stream depends on nothing but its arguments."""
    words = np.random.SeedSequence([seed, epoch, step, rank]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))


def count_rows(batches: NDArray[np.str_], weight: float) -> int:
    """Rows of an epoch: see ``epoch_order``."""
    return len(batches) + _extra(_from_production(batches), weight)


def epoch_order(
    batches: NDArray[np.str_], weight: float, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Indices of one epoch: every row once, those from production ``weight`` times on average.

    ``batches`` ``[N]`` are the batches that rows came in. All old rows are in every epoch, so
    that what is learnt anew does not push out what was known.
    """
    rng = np.random.default_rng([seed, epoch])
    new = _from_production(batches)
    extra = _extra(new, weight)
    rows = np.arange(len(batches))
    if extra:
        rows = np.concatenate([rows, np.resize(rng.permutation(new), extra)])
    return rows[rng.permutation(len(rows))]


def _from_production(batches: NDArray[np.str_]) -> NDArray[np.int64]:
    return np.flatnonzero(np.strings.startswith(batches, FEEDBACK_PREFIX))


def _extra(new: NDArray[np.int64], weight: float) -> int:
    return round((weight - 1) * len(new))


def gather_batches(
    shard: Shard, order: NDArray[np.int64], batch_size: int, *, rank: int = 0, size: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels uint8 ``[B, H, W, C]`` and labels int64 ``[B]``; a short last batch is left out.

    Of ``size`` processes each has every ``size``-th row of a batch; together they have all.

    The rows of a batch are read in ascending order, which keeps reads of a large file local; the
    order inside a batch does not matter to training.
    """
    batches = (np.sort(order[start : start + batch_size])[rank::size]
               for start in range(0, len(order) - batch_size + 1, batch_size))
    images: Any = shard.images
    if isinstance(images, np.ndarray):
        for rows in batches:
            yield torch.from_numpy(images[rows]), torch.from_numpy(shard.labels[rows])
        return
    # The next batch is decoded while this one is learnt from.
    with ThreadPoolExecutor(1, thread_name_prefix="gather") as pool:
        waiting: deque[tuple[NDArray[np.int64], Future[NDArray[np.uint8]]]] = deque()
        for rows in batches:
            waiting.append((rows, pool.submit(images.__getitem__, rows)))
            if len(waiting) > AHEAD:
                done, pixels = waiting.popleft()
                yield torch.from_numpy(pixels.result()), torch.from_numpy(shard.labels[done])
        for done, pixels in waiting:
            yield torch.from_numpy(pixels.result()), torch.from_numpy(shard.labels[done])


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


def rows_within(images: NDArray[np.uint8], *, most: int) -> int:
    """How many images are taken at a time: ``most``, or what 64 MiB hold if that is fewer."""
    return max(1, min(most, BLOCK_BYTES // max(1, int(np.prod(images.shape[1:])))))


def channel_moments(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel in grey levels, exact to float64.

    Args:
        images: uint8 ``[N, H, W, C]``; read in blocks, so it may be memory-mapped.
    """
    channels = images.shape[-1]
    histogram = np.zeros((channels, 256), np.int64)
    rows = rows_within(images, most=4096)
    for start in range(0, len(images), rows):
        block = images[start : start + rows].reshape(-1, channels)
        for channel in range(channels):
            histogram[channel] += np.bincount(block[:, channel], minlength=256)
    levels = np.arange(256, dtype=np.float64)
    total = histogram.sum(axis=1)
    mean = histogram @ levels / total
    variance = histogram @ levels**2 / total - mean**2
    return mean.tolist(), np.sqrt(np.maximum(variance, 1e-6)).tolist()
