"""Duplicates: equal bytes within a batch, and near duplicates across splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_assets.validated.inspection import Fault

BLOCK_ROWS = 2048


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source says of an image."""

    image_id: str
    label: str
    origin_split: str


def find_duplicates(claims: Sequence[Claim]) -> dict[int, Fault]:
    """Index to fault for every claim that must go.

    Of equal bytes with one label one copy stays: a test copy if there is one, so that the
    official test part stays whole, else the first. Equal bytes with several labels all go.
    """
    groups: dict[str, list[int]] = {}
    for index, claim in enumerate(claims):
        groups.setdefault(claim.image_id, []).append(index)
    faults: dict[int, Fault] = {}
    for indices in groups.values():
        if len(indices) == 1:
            continue
        labels = sorted({claims[index].label for index in indices})
        if len(labels) > 1:
            fault = Fault("conflicting-labels", f"the same bytes are called {', '.join(labels)}")
            faults |= dict.fromkeys(indices, fault)
            continue
        kept = next((i for i in indices if claims[i].origin_split == "test"), indices[0])
        for index in indices:
            if index == kept:
                continue
            across = claims[index].origin_split != claims[kept].origin_split
            faults[index] = Fault(
                "duplicate-across-splits" if across else "duplicate",
                f"the same bytes as another image of {claims[kept].origin_split or 'the batch'}",
            )
    return faults


def nearest_within(
    queries: NDArray[np.uint8], references: NDArray[np.uint8], rms: float
) -> NDArray[np.int64]:
    """For each query the index of a reference at most ``rms`` grey levels away, or -1.

    Args:
        queries: ``[N, D]`` uint8 thumbnails.
        references: ``[M, D]`` uint8 thumbnails.
        rms: root mean square difference a value, in grey levels.

    Returns:
        ``[N]`` int64. The search is exhaustive: blocks of one matrix product.
    """
    found = np.full(len(queries), -1, np.int64)
    if not len(queries) or not len(references):
        return found
    base = references.astype(np.float32)
    base_norms = np.einsum("ij,ij->i", base, base)
    limit = rms * rms * queries.shape[1]
    for start in range(0, len(queries), BLOCK_ROWS):
        block = queries[start : start + BLOCK_ROWS].astype(np.float32)
        distances = base_norms[None, :] - 2.0 * (block @ base.T)
        best = distances.argmin(axis=1)
        # The product rounds; the candidate's distance is computed again without cancellation.
        exact = ((block - base[best]) ** 2).sum(axis=1)
        near = exact <= limit
        found[start : start + BLOCK_ROWS][near] = best[near]
    return found
